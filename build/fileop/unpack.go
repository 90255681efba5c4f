//go:build linux

package fileop

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/layer"
)

// unpack extracts e into the destination if it is an archive: a file whose
// content, decompressed, starts with a tar header. done is false otherwise.
func (c *copier) unpack(ctx context.Context, e *entry) (done bool, err error) {
	f, err := openFile(c.src.Dir, e.path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	plain, _, err := layer.Decompress(f)
	if err != nil {
		return false, nil
	}
	defer plain.Close()
	archive := tar.NewReader(plain)
	first, err := archive.Next()
	if err != nil {
		return false, nil
	}
	at, _, err := resolver{root: c.dst}.resolve(c.a.Dest, true)
	if err != nil {
		return false, err
	}
	var made madeDirs
	defer made.close()
	root, err := safepath.MkdirAll(c.dst, at, 0o755, made.add(c.owner, c.time))
	if err != nil {
		return false, err
	}
	defer root.Close()
	x := &extractor{root: root, owner: c.owner, linked: map[inode]bool{}}
	if err := x.extract(ctx, archive, first); err != nil {
		return true, fmt.Errorf("unpack: %w", err)
	}
	return true, made.settle(c.time)
}

// extractor unpacks an archive, which may be hostile, over an existing tree.
// Links resolve inside root. Entries keep their modes and times; whiteouts are
// files like any other.
type extractor struct {
	root   *os.File
	owner  *Owner // for entries; directories that none describes are root's
	dirs   []*tar.Header
	linked map[inode]bool // files that got further names here
}

func (x *extractor) extract(ctx context.Context, archive *tar.Reader, h *tar.Header) (err error) {
	for ; err == nil; h, err = archive.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		if err := x.entry(ctx, h, ctxReader{ctx, archive}); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
	if err != io.EOF {
		return err
	}
	for _, h := range x.dirs {
		if err := x.settle(h); err != nil {
			return fmt.Errorf("entry %q: %w", h.Name, err)
		}
	}
	return nil
}

// top is the entry of the root itself: written "." it says nothing, written "/"
// it describes the destination.
func (x *extractor) top(h *tar.Header) error {
	switch {
	case path.Clean(h.Name) == ".":
		return nil
	case h.Typeflag != tar.TypeDir:
		return fmt.Errorf("the root is no directory: %w", errs.ErrInvalid)
	}
	x.dirs = append(x.dirs, h)
	return x.meta(h).setDir(int(x.root.Fd()), ".")
}

func (x *extractor) entry(ctx context.Context, h *tar.Header, content io.Reader) error {
	name, err := entryName(h.Name)
	if err != nil {
		return err
	}
	if name == "" {
		return x.top(h)
	}
	parent, err := safepath.MkdirAll(x.root, path.Dir(name), 0o755, func(dir *os.File) error {
		_, err := chown(int(dir.Fd()), Owner{})
		return err
	})
	if err != nil {
		return err
	}
	defer parent.Close()
	dir, base := int(parent.Fd()), path.Base(name)
	var st unix.Stat_t
	err = unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	exists := err == nil
	if err != nil && err != unix.ENOENT {
		return err
	}
	if exists && (!isDir(&st) || h.Typeflag != tar.TypeDir) {
		if err := removeAll(dir, base); err != nil {
			return err
		}
		exists = false
	}
	m := x.meta(h)
	switch h.Typeflag {
	case tar.TypeDir:
		x.dirs = append(x.dirs, h)
		if !exists {
			if err := unix.Mkdirat(dir, base, 0o700); err != nil {
				return err
			}
		}
		return m.setDir(dir, base)
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return extractFile(dir, base, m, content)
	case tar.TypeLink:
		if err := x.link(ctx, dir, base, h.Linkname); err != nil {
			return err
		}
		return m.setAgain(dir, base)
	case tar.TypeSymlink:
		if err := unix.Symlinkat(h.Linkname, dir, base); err != nil {
			return err
		}
		return m.setAt(dir, base, true)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		kind := map[byte]uint32{tar.TypeChar: unix.S_IFCHR, tar.TypeBlock: unix.S_IFBLK, tar.TypeFifo: unix.S_IFIFO}[h.Typeflag]
		if err := mknod(dir, base, kind, unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))); err != nil {
			return err
		}
		return m.setAt(dir, base, false)
	}
	return fmt.Errorf("type %q: %w", h.Typeflag, errs.ErrUnsupported)
}

// ctxReader ends with ctx.
type ctxReader struct {
	ctx context.Context
	io.Reader
}

func (r ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// entryName gives the path of an entry below the root, "" for the root itself.
func entryName(name string) (string, error) {
	clean := path.Clean(name)
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("outside of the destination: %w", errs.ErrInvalid)
	}
	if clean == "." {
		return "", nil
	}
	return rooted(clean), nil
}

// meta gives what the header says about an entry.
func (x *extractor) meta(h *tar.Header) meta {
	m := meta{owner: Owner{h.Uid, h.Gid}, mode: uint32(h.Mode) & 0o7777, time: tarTime(h.ModTime)}
	if x.owner != nil {
		m.owner = *x.owner
	}
	if h.Typeflag != tar.TypeDir {
		m.caps = []byte(h.PAXRecords["SCHILY.xattr."+capsXattr])
	}
	return m
}

// tarTime gives a file time; what no file system can keep becomes 1970.
func tarTime(t time.Time) unix.Timespec {
	if t.Unix() < 0 || t.Unix() > 1<<33 {
		return unix.Timespec{}
	}
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return unix.Timespec{}
	}
	return ts
}

func extractFile(dir int, name string, m meta, content io.Reader) error {
	fd, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, m.mode&0o777)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	buf := buffers.Get().(*[bigFile]byte)
	defer buffers.Put(buf)
	// Only the Writer is shown: File.ReadFrom would bring a buffer of its own.
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, content, buf[:]); err != nil {
		return err
	}
	return m.set(fd)
}

// link makes a hard link.
func (x *extractor) link(ctx context.Context, dir int, name, target string) error {
	at := rooted(target)
	if at == "" {
		return fmt.Errorf("link to %q: %w", target, errs.ErrInvalid)
	}
	from, err := safepath.Open(x.root, path.Dir("/"+at), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("link to %q: %w", target, err)
	}
	defer from.Close()
	if err := x.own(ctx, int(from.Fd()), path.Base(at)); err != nil {
		return fmt.Errorf("link to %q: %w", target, err)
	}
	if err := unix.Linkat(int(from.Fd()), path.Base(at), dir, name, 0); err != nil {
		return fmt.Errorf("link to %q: %w", target, err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	x.linked[inode{st.Dev, st.Ino}] = true
	return nil
}

// own makes sure that the file name is this tree's own, since the entry of a
// link changes it: an earlier copy may have shared it with a published layer,
// where it has to stay as it is.
func (x *extractor) own(ctx context.Context, dir int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink == 1 || x.linked[inode{st.Dev, st.Ino}] {
		return nil
	}
	in, err := openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(in)
	if err := unix.Unlinkat(dir, name, 0); err != nil {
		return err
	}
	out, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(out)
	return copyBytes(ctx, in, out)
}

// settle gives a directory its time. Where a later entry put something else, that
// gets the time, as with BuildKit.
func (x *extractor) settle(h *tar.Header) error {
	name, err := entryName(h.Name)
	if err != nil {
		return err
	}
	dir, err := safepath.Open(x.root, name, unix.O_PATH, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	return setTimes(int(dir.Fd()), "", tarTime(h.ModTime))
}
