package layer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"

	"golang.org/x/sys/unix"
)

// settler removes from an upper directory.
type settler struct {
	ctx  context.Context
	a, b []byte // to compare content
}

func settle(ctx context.Context, upper string, lowers []string) error {
	root, err := openTree(upper)
	if err != nil {
		return fmt.Errorf("settle layer: %w", err)
	}
	defer unix.Close(root)
	below, err := openMerged(lowers)
	if err != nil {
		return fmt.Errorf("settle layer: %w", err)
	}
	defer below.close()
	opaque, err := isOpaque(root)
	if err != nil {
		return fmt.Errorf("settle layer: %w", err)
	}
	visible := below
	if opaque {
		visible = nil
	}
	s := &settler{ctx: ctx, a: make([]byte, copyBuffer), b: make([]byte, copyBuffer)}
	if _, err := s.dir(root, visible, ""); err != nil {
		return fmt.Errorf("settle layer: %w", err)
	}
	return nil
}

// dir settles the entries of an open upper directory over what is visible
// below it, and says whether it is empty then. Its own times stay.
func (s *settler) dir(dir int, below merged, prefix string) (empty bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return false, err
	}
	list, err := names(dir)
	if err != nil {
		return false, fmt.Errorf("read directory %s: %w", prefix, err)
	}
	left := len(list)
	for _, name := range list {
		if err := s.ctx.Err(); err != nil {
			return false, err
		}
		gone, err := s.entry(dir, name, below, prefix)
		if _, nested := err.(*entryError); err != nil && !nested {
			err = &entryError{prefix + name, err}
		}
		if err != nil {
			return false, err
		}
		if gone {
			left--
		}
	}
	if left < len(list) {
		err = unix.UtimesNanoAt(dir, ".", []unix.Timespec{st.Atim, st.Mtim}, 0)
	}
	return left == 0, err
}

// entry removes one upper entry if nothing is lost by that.
func (s *settler) entry(dir int, name string, below merged, prefix string) (gone bool, err error) {
	st, err := lstatat(dir, name)
	if err != nil {
		return false, err
	}
	at, low, visible, err := below.entry(name)
	switch {
	case err != nil:
		return false, err
	case IsWhiteout(&st):
		if visible {
			return false, nil
		}
		return true, unix.Unlinkat(dir, name, 0)
	case isDir(&st):
		return s.subdir(dir, name, below, prefix, visible && isDir(&low))
	case !visible:
		return false, nil
	}
	same, err := s.same(dir, &st, at.fd, &low, name)
	if err != nil || !same {
		return false, err
	}
	return true, unix.Unlinkat(dir, name, 0)
}

// subdir settles an upper directory; covers says that it lies over another.
func (s *settler) subdir(dir int, name string, below merged, prefix string, covers bool) (gone bool, err error) {
	fd, err := openat(dir, name, openDirFlags, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	opaque, err := isOpaque(fd)
	if err != nil {
		return false, err
	}
	var sub merged
	if covers && !opaque {
		if sub, err = below.sub(name); err != nil {
			return false, err
		}
		defer sub.close()
	}
	empty, err := s.dir(fd, sub, prefix+name+"/")
	if err != nil {
		return false, err
	}
	if opaque && !covers {
		if err := unix.Fremovexattr(fd, overlayPrefix()+"opaque"); err != nil {
			return false, fmt.Errorf("remove opaque mark: %w", err)
		}
	}
	if !empty || len(sub) == 0 {
		return false, nil
	}
	same, err := sameDir(fd, sub[0].fd)
	if err != nil || !same {
		return false, err
	}
	return true, unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

// sameDir compares what a layer says of a directory itself. Times and sizes
// are left out: they change with every entry that comes and goes.
func sameDir(a, b int) (bool, error) {
	var sa, sb unix.Stat_t
	if err := unix.Fstat(a, &sa); err != nil {
		return false, err
	}
	if err := unix.Fstat(b, &sb); err != nil {
		return false, err
	}
	if sa.Mode != sb.Mode || sa.Uid != sb.Uid || sa.Gid != sb.Gid {
		return false, nil
	}
	if err := Recorded(a, ".", &sa); err != nil {
		return false, err
	}
	if err := Recorded(b, ".", &sb); err != nil {
		return false, err
	}
	if sa.Uid != sb.Uid || sa.Gid != sb.Gid {
		return false, nil
	}
	xa, err := readAttrs(a)
	if err != nil {
		return false, err
	}
	xb, err := readAttrs(b)
	return maps.Equal(xa.carried, xb.carried), err
}

// same compares two entries of one name that are not directories.
func (s *settler) same(upper int, st *unix.Stat_t, lower int, low *unix.Stat_t, name string) (bool, error) {
	if st.Mode != low.Mode || st.Uid != low.Uid || st.Gid != low.Gid || st.Rdev != low.Rdev ||
		st.Size != low.Size || st.Mtim != low.Mtim {
		return false, nil
	}
	for dir, st := range map[int]*unix.Stat_t{upper: st, lower: low} {
		if err := Recorded(dir, name, st); err != nil {
			return false, err
		}
	}
	if st.Mode != low.Mode || st.Uid != low.Uid || st.Gid != low.Gid || st.Rdev != low.Rdev {
		return false, nil
	}
	xu, err := readAttrsAt(upper, name)
	if err != nil {
		return false, err
	}
	xl, err := readAttrsAt(lower, name)
	if err != nil || !maps.Equal(xu.carried, xl.carried) {
		return false, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		tu, err := readlinkat(upper, name, st.Size)
		if err != nil {
			return false, err
		}
		tl, err := readlinkat(lower, name, low.Size)
		return tu == tl, err
	case unix.S_IFREG:
		return s.sameContent(upper, lower, name, st.Size)
	}
	return true, nil
}

// sameContent reads both files. Equal times do not spare it: a program can set
// them.
func (s *settler) sameContent(upper, lower int, name string, size int64) (bool, error) {
	if size == 0 {
		return true, nil
	}
	fu, err := openat(upper, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fu)
	fl, err := openat(lower, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fl)
	for {
		if err := s.ctx.Err(); err != nil {
			return false, err
		}
		nu, err := readFull(fu, s.a)
		if err != nil {
			return false, err
		}
		nl, err := readFull(fl, s.b)
		if err != nil || !bytes.Equal(s.a[:nu], s.b[:nl]) {
			return false, err
		}
		if nu < len(s.a) {
			return true, nil
		}
	}
}

// readFull reads until b is full or the file ends.
func readFull(fd int, b []byte) (int, error) {
	n, err := io.ReadFull(fdReader(fd), b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// fdReader reads from a descriptor without taking it over.
type fdReader int

// Read implements io.Reader.
func (f fdReader) Read(p []byte) (n int, err error) {
	err = retry(func() error { n, err = unix.Read(int(f), p); return err })
	if err != nil {
		return 0, err
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
