//go:build linux

package fileop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/layer"
)

// file copies e, which is not a directory, from one directory of p to the
// other, where it is called name.
func (w *writer) file(ctx context.Context, p *dirPair, e *entry, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	target := path.Join(p.target, name)
	if !p.fresh {
		if err := w.clear(p.to, name, target); err != nil {
			return err
		}
	}
	m := w.meta(e)
	var err error
	switch e.kind() {
	case unix.S_IFREG, unix.S_IFSOCK:
		return w.regular(ctx, p, e, name, target, m)
	case unix.S_IFLNK:
		err = unix.Symlinkat(e.link, p.to, name)
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO:
		err = mknod(p.to, name, e.kind(), e.st.Rdev)
	default:
		err = fmt.Errorf("file of type %#o: %w", e.kind(), errs.ErrUnsupported)
	}
	if err == nil {
		err = m.setAt(p.to, name, e.kind() == unix.S_IFLNK)
	}
	if err != nil {
		return pathError("create", target, err)
	}
	return nil
}

// mknod makes a device or fifo. The device 0:0 would be a whiteout: it would
// delete a file of the layers below instead of being there.
func mknod(dir int, name string, kind uint32, dev uint64) error {
	if kind == unix.S_IFCHR && dev == 0 {
		return fmt.Errorf("character device 0:0 means a deleted file in a layer: %w", errs.ErrUnsupported)
	}
	if kind == unix.S_IFIFO {
		dev = 0
	}
	return layer.Mknod(dir, name, kind|0o600, dev)
}

// clear removes what is in the way of a file.
func (w *writer) clear(dir int, name, target string) error {
	err := unix.Unlinkat(dir, name, 0)
	switch {
	case err == nil || err == unix.ENOENT:
		return nil
	case err != unix.EISDIR:
		return pathError("remove", target, err)
	case !w.a.AlwaysReplaceExistingDestPaths:
		return clash(target, "a directory", "a file")
	}
	if err := removeAll(dir, name); err != nil {
		return pathError("remove", target, err)
	}
	return nil
}

// regular copies a regular file, or makes the empty one that stands for a socket.
func (w *writer) regular(ctx context.Context, p *dirPair, e *entry, name, target string, m meta) error {
	if e.kind() == unix.S_IFREG {
		d := w.digestOf(e)
		if d != "" {
			w.src.Copied(target, d)
		}
		if w.share(p, e, name, m) || w.donate(p, e, name, m, d) {
			return nil
		}
	}
	out, err := openat(p.to, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, m.mode&0o777)
	if err != nil {
		return pathError("create", target, err)
	}
	defer unix.Close(out)
	if e.kind() == unix.S_IFREG {
		if err := copyContent(ctx, p.from, e, out); err != nil {
			return pathError("copy to", target, err)
		}
	}
	if err := m.set(out); err != nil {
		return pathError("set metadata of", target, err)
	}
	return nil
}

// copyContent copies the bytes of e, a regular file in the directory dir.
func copyContent(ctx context.Context, dir int, e *entry, out int) error {
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY
	in, err := openat(dir, e.name, flags, 0)
	if err != nil {
		return pathError("open", e.path, err)
	}
	defer unix.Close(in)
	var st unix.Stat_t
	if err := unix.Fstat(in, &st); err != nil {
		return pathError("stat", e.path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return pathError("read", e.path, errors.New("it was a regular file and is not any more"))
	}
	for rest := st.Size; rest >= bigFile; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := unix.CopyFileRange(in, nil, out, nil, int(min(rest, 64<<20)), 0)
		if err != nil || n == 0 {
			break // between these file systems, or for this file, not: the loop below does it
		}
		rest -= int64(n)
	}
	return copyBytes(ctx, in, out)
}

// bigFile is the size from which the kernel copies faster than we do.
const bigFile = 128 << 10

var buffers = sync.Pool{New: func() any { return new([bigFile]byte) }}

// copyBytes copies until the end of in.
func copyBytes(ctx context.Context, in, out int) error {
	buf := buffers.Get().(*[bigFile]byte)
	defer buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := unix.Read(in, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			return nil
		}
		for b := buf[:n]; len(b) > 0; {
			n, err := unix.Write(out, b)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return fmt.Errorf("write: %w", err)
			}
			if n == 0 {
				return io.ErrShortWrite
			}
			b = b[n:]
		}
	}
}

func kindName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a file"
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFDIR:
		return "a directory"
	}
	return "a special file"
}
