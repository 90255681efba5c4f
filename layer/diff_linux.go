package layer

import (
	"archive/tar"
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

const (
	whiteoutPrefix = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
	xattrRecord    = "SCHILY.xattr."
	copyBuffer     = 256 << 10
)

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copyBuffer); return &b }}

// differ writes one tree.
type differ struct {
	ctx   context.Context
	tw    *tar.Writer
	clamp *time.Time
	fixed *time.Time
	links map[fileID]string // the first name of each file that has several
	buf   []byte
}

func diff(ctx context.Context, w io.Writer, dir string, o DiffOptions) error {
	bw := bufio.NewWriterSize(w, copyBuffer)
	if err := diffUnbuffered(ctx, bw, dir, o); err != nil {
		return err
	}
	if err := bw.Flush(); err != nil {
		return fmt.Errorf("diff layer: %w", err)
	}
	return nil
}

func diffUnbuffered(ctx context.Context, w io.Writer, dir string, o DiffOptions) error {
	root, err := openTree(dir)
	if err != nil {
		return fmt.Errorf("diff layer: %w", err)
	}
	defer unix.Close(root)
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	d := &differ{ctx: ctx, tw: tar.NewWriter(w), clamp: o.ClampTime, fixed: o.SetTime, links: map[fileID]string{}, buf: *buf}
	err = d.top(root)
	if err == nil {
		err = d.tw.Close()
	}
	if err != nil {
		return fmt.Errorf("diff layer: %w", err)
	}
	return nil
}

// top writes what the tree's own directory has to say: whether it is opaque.
func (d *differ) top(root int) error {
	a, err := readAttrs(root)
	if err != nil {
		return err
	}
	if a.opaque {
		if err := d.whiteout(whiteoutOpaque); err != nil {
			return err
		}
	}
	return d.children(root, "")
}

// children writes the entries of an open directory; prefix is its path with a
// slash at the end.
func (d *differ) children(dir int, prefix string) error {
	list, err := names(dir)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", prefix, err)
	}
	for _, name := range list {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		st, err := lstatat(dir, name)
		if err == nil {
			err = Recorded(dir, name, &st)
		}
		if err == nil {
			err = d.entry(dir, name, prefix, &st)
		}
		if _, nested := err.(*entryError); err != nil && !nested {
			err = &entryError{prefix + name, err}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entry writes one entry and, of a directory, what is below.
func (d *differ) entry(dir int, name, prefix string, st *unix.Stat_t) error {
	if err := literal(name, st); err != nil {
		return err
	}
	if IsWhiteout(st) {
		return d.whiteout(prefix + whiteoutPrefix + name)
	}
	h := d.header(prefix+name, st)
	if !isDir(st) && st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		if first, ok := d.links[idOf(st)]; ok {
			return d.link(dir, name, h, first)
		}
		d.links[idOf(st)] = h.Name
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		return nil
	case unix.S_IFDIR:
		return d.dir(dir, name, h)
	case unix.S_IFREG:
		return d.file(dir, name, h, st.Size)
	case unix.S_IFLNK:
		target, err := readlinkat(dir, name, st.Size)
		if err != nil {
			return err
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, target
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeBlock
		if st.Mode&unix.S_IFMT == unix.S_IFCHR {
			h.Typeflag = tar.TypeChar
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	}
	a, err := readAttrsAt(dir, name)
	if err != nil {
		return err
	}
	return d.write(h, a)
}

// literal refuses a name that whoever applies the layer would stumble over. A
// file .wh.x is written as it is, as BuildKit does, and so hides x from then on.
func literal(name string, st *unix.Stat_t) error {
	hidden, marked := strings.CutPrefix(name, whiteoutPrefix)
	if !marked || !isDir(st) && hidden != "" && hidden != "." && hidden != ".." {
		return nil
	}
	return fmt.Errorf("layers keep names that begin with %s for deleted files: %w: remove or rename it in the step that makes it", whiteoutPrefix, errs.ErrUnsupported)
}

// header fills in what all kinds of entries have.
func (d *differ) header(path string, st *unix.Stat_t) *tar.Header {
	mtime := time.Unix(st.Mtim.Unix())
	if d.clamp != nil && mtime.After(*d.clamp) {
		mtime = *d.clamp
	}
	if d.fixed != nil {
		mtime = *d.fixed
	}
	return &tar.Header{
		Format:  tar.FormatPAX, // the writer adds records only where a plain header cannot say it
		Name:    path,
		Mode:    int64(st.Mode & 0o7777),
		Uid:     int(st.Uid),
		Gid:     int(st.Gid),
		ModTime: time.Unix(mtime.Unix(), 0),
	}
}

func (d *differ) whiteout(path string) error {
	return d.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, ModTime: time.Unix(0, 0)})
}

// link writes a further name of a file. It repeats the xattrs as BuildKit does.
func (d *differ) link(dir int, name string, h *tar.Header, first string) error {
	h.Typeflag, h.Linkname = tar.TypeLink, first
	a, err := readAttrsAt(dir, name)
	if err != nil {
		return err
	}
	return d.write(h, a)
}

func (d *differ) dir(parent int, name string, h *tar.Header) error {
	fd, err := openat(parent, name, openDirFlags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	a, err := readAttrs(fd)
	if err != nil {
		return err
	}
	h.Typeflag = tar.TypeDir
	h.Name += "/"
	if err := d.write(h, a); err != nil {
		return err
	}
	if a.opaque {
		if err := d.whiteout(h.Name + whiteoutOpaque); err != nil {
			return err
		}
	}
	return d.children(fd, h.Name)
}

func (d *differ) file(dir int, name string, h *tar.Header, size int64) error {
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	a, err := readAttrs(fd)
	if err != nil {
		return err
	}
	h.Typeflag, h.Size = tar.TypeReg, size
	if err := d.write(h, a); err != nil {
		return err
	}
	return d.copy(fd, size)
}

// copy writes exactly the size that the header announced.
func (d *differ) copy(fd int, size int64) error {
	for size > 0 {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		b := d.buf[:min(int64(len(d.buf)), size)]
		n, err := unix.Read(fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("file became shorter while it was read: %w", io.ErrUnexpectedEOF)
		}
		if _, err := d.tw.Write(b[:n]); err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

func (d *differ) write(h *tar.Header, a attrs) error {
	if len(a.carried) > 0 {
		h.PAXRecords = make(map[string]string, len(a.carried))
		for name, value := range a.carried {
			h.PAXRecords[xattrRecord+encodeXattr.Replace(name)] = value
		}
	}
	return d.tw.WriteHeader(h)
}

// A PAX key ends at the first "="; GNU tar writes names that have one so.
var (
	encodeXattr = strings.NewReplacer("%", "%25", "=", "%3D")
	decodeXattr = strings.NewReplacer("%25", "%", "%3D", "=")
)
