package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
)

// create runs a call that makes base and fails if it exists; then what exists is
// removed first.
func (a *applier) create(dir *dirHandle, base string, call func() error) error {
	err := retry(call)
	if err != unix.EEXIST {
		return err
	}
	st, err := lstatat(dir.fd, base)
	if err != nil {
		return err
	}
	if err := a.remove(dir.fd, base, &st); err != nil {
		return err
	}
	return retry(call)
}

// remove deletes an entry and all below it. dir stays a good directory, other
// cached ones may not.
func (a *applier) remove(dir int, base string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		a.dirs.forgetOthers(dir)
		return removeAll(dir, base)
	case unix.S_IFLNK:
		a.dirs.forgetOthers(dir)
	}
	return unix.Unlinkat(dir, base, 0)
}

// forgetOthers is flush for all but one directory, which is in use.
func (c *dirCache) forgetOthers(fd int) {
	for p, h := range c.open {
		if h.fd != fd {
			unix.Close(h.fd)
			delete(c.open, p)
		}
	}
}

// removeAll deletes a directory without following anything out of it.
func removeAll(dir int, base string) error {
	fd, err := openat(dir, base, openDirFlags, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	list, err := names(fd)
	if err != nil {
		return err
	}
	for _, name := range list {
		err := unix.Unlinkat(fd, name, 0)
		if err == unix.EISDIR {
			err = removeAll(fd, name)
		}
		if err != nil {
			return err
		}
	}
	return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
}

// putNode makes something without content.
func (a *applier) putNode(dir *dirHandle, base string, h *tar.Header, call func() error) error {
	if err := a.create(dir, base, call); err != nil {
		return err
	}
	return a.allAttrs(dir.fd, base, h)
}

// putDevice makes a device node. Character device 0:0 is how overlayfs says
// that a name is deleted, so that is what it means here too.
func (a *applier) putDevice(dir *dirHandle, base, p string, h *tar.Header) error {
	if h.Typeflag == tar.TypeChar && h.Devmajor == 0 && h.Devminor == 0 {
		if a.made != nil {
			delete(a.made, entryKey{dir.id, base})
		}
		return a.hide(dir, base)
	}
	if h.Devmajor < 0 || h.Devminor < 0 || h.Devmajor > 1<<12-1 || h.Devminor > 1<<20-1 {
		return fmt.Errorf("device %d:%d: %w", h.Devmajor, h.Devminor, errs.ErrInvalid)
	}
	mode := uint32(unix.S_IFBLK)
	if h.Typeflag == tar.TypeChar {
		mode = unix.S_IFCHR
	}
	dev := unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor))
	err := a.putNode(dir, base, h, func() error { return Mknod(dir.fd, base, mode|0o600, dev) })
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("make device node without being root: %w: %w", err, errs.ErrUnsupported)
	}
	return err
}

// putLink makes a further name for a file of this tree, or a copy of one of
// the parents'.
func (a *applier) putLink(dir *dirHandle, base, p string, h *tar.Header) error {
	target, err := clean(h.Linkname)
	if err != nil || target == "" {
		return fmt.Errorf("hard link to %q: %w", h.Linkname, errs.ErrInvalid)
	}
	from, name, err := safepath.OpenParent(a.root, target)
	if missing(err) {
		return a.copyParent(dir, base, p, target, h)
	}
	if err != nil {
		return fmt.Errorf("hard link to %s: %w", show(target), err)
	}
	defer from.Close()
	defer runtime.KeepAlive(from)
	fromFD := int(from.Fd())
	st, err := lstatat(fromFD, name)
	switch {
	case err == unix.ENOENT || err == nil && IsWhiteout(&st):
		return a.copyParent(dir, base, p, target, h)
	case err != nil:
		return fmt.Errorf("hard link to %s: %w", show(target), err)
	case isDir(&st):
		return fmt.Errorf("hard link to directory %s: %w", show(target), errs.ErrInvalid)
	}
	if there, err := lstatat(dir.fd, base); err == nil && idOf(&there) == idOf(&st) {
		return a.linkAttrs(dir.fd, base, &st, h) // is the same file already
	}
	if err := a.create(dir, base, func() error { return unix.Linkat(fromFD, name, dir.fd, base, 0) }); err != nil {
		return fmt.Errorf("hard link to %s: %w", show(target), err)
	}
	return a.linkAttrs(dir.fd, base, &st, h)
}

// linkAttrs lets a link's own header have the last word, as containerd does.
func (a *applier) linkAttrs(dir int, base string, st *unix.Stat_t, h *tar.Header) error {
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil
	}
	return a.allAttrs(dir, base, h)
}

// copyParent copies a file of the parents, to which the layer has a hard link.
func (a *applier) copyParent(dir *dirHandle, base, p, target string, link *tar.Header) error {
	parent, name := path.Split(target)
	m, err := a.parentDir(strings.TrimSuffix(parent, "/"))
	if err != nil {
		return fmt.Errorf("hard link to %s: %w", show(target), err)
	}
	defer m.close()
	at, st, ok, err := m.entry(name)
	if err != nil {
		return fmt.Errorf("hard link to %s: %w", show(target), err)
	}
	if !ok || isDir(&st) {
		return &MissingLinkError{Name: p, Target: target}
	}
	if err := Recorded(at.fd, name, &st); err != nil {
		return err
	}
	x, err := readAttrsAt(at.fd, name)
	if err != nil {
		return err
	}
	h := &tar.Header{}
	fillHeader(h, &st, x)
	if err := a.copyNode(dir, base, p, h, at.fd, name, &st); err != nil {
		return err
	}
	return a.linkAttrs(dir.fd, base, &st, link)
}

// copyNode puts a copy of one entry of the parents into the tree.
func (a *applier) copyNode(dir *dirHandle, base, p string, h *tar.Header, from int, name string, st *unix.Stat_t) (err error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		fd, err := openat(from, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(fd), name)
		defer f.Close()
		h.Typeflag, h.Size = tar.TypeReg, st.Size
		if err := a.check(h); err != nil {
			return err
		}
		return a.put(dir, base, p, h, io.LimitReader(f, st.Size))
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = readlinkat(from, name, st.Size); err != nil {
			return err
		}
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		h.Typeflag = tar.TypeBlock
		if st.Mode&unix.S_IFMT == unix.S_IFCHR {
			h.Typeflag = tar.TypeChar
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	default:
		return fmt.Errorf("copy %s: mode %o: %w", name, st.Mode, errs.ErrUnsupported)
	}
	return a.put(dir, base, p, h, nil)
}
