package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
)

const cachedDirs = 128

// dirHandle is an open directory of the tree.
type dirHandle struct {
	fd   int
	id   fileID
	used uint64
}

// dirCache keeps the directories used last open, by path.
type dirCache struct {
	open  map[string]*dirHandle
	clock uint64
}

func (c *dirCache) get(p string) *dirHandle {
	h := c.open[p]
	if h != nil {
		c.clock++
		h.used = c.clock
	}
	return h
}

func (c *dirCache) put(p string, h *dirHandle) {
	if c.open == nil {
		c.open = map[string]*dirHandle{}
	}
	if len(c.open) >= cachedDirs {
		c.evict()
	}
	c.clock++
	h.used = c.clock
	c.open[p] = h
}

// evict closes the directory not used for longest.
func (c *dirCache) evict() {
	oldest := ""
	for p, h := range c.open {
		if o := c.open[oldest]; o == nil || h.used < o.used {
			oldest = p
		}
	}
	unix.Close(c.open[oldest].fd)
	delete(c.open, oldest)
}

// flush forgets everything, because paths may lead elsewhere now.
func (c *dirCache) flush() {
	for _, h := range c.open {
		unix.Close(h.fd)
	}
	clear(c.open)
}

// dir opens the directory p, resolving symbolic links inside the tree, and
// makes it if it is missing. The handle is good until the next call but one.
func (a *applier) dir(p string) (*dirHandle, error) {
	if h := a.dirs.get(p); h != nil {
		return h, nil
	}
	f, err := safepath.Open(a.root, p, openDirFlags, 0)
	if missing(err) {
		if err = a.makeParents(p); err == nil {
			f, err = safepath.Open(a.root, p, openDirFlags, 0)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("directory of it: %w", err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	runtime.KeepAlive(f)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	h := &dirHandle{fd: fd, id: idOf(&st)}
	a.dirs.put(p, h)
	return h, nil
}

// missing says that a directory could not be opened because it is not there.
func missing(err error) bool {
	pe, ok := err.(*os.PathError)
	return ok && (pe.Err == unix.ENOENT || pe.Err == unix.ENOTDIR)
}

// makeParents makes the directory p and those above it.
func (a *applier) makeParents(p string) error {
	for i := 0; i <= len(p); i++ {
		if i < len(p) && p[i] != '/' {
			continue
		}
		if err := a.makeParent(p[:i]); err != nil {
			return err
		}
	}
	return nil
}

// makeParent makes one directory whose parent exists, unless it exists too.
func (a *applier) makeParent(p string) error {
	parent, base, err := safepath.OpenParent(a.root, p)
	if err != nil {
		return err
	}
	defer parent.Close()
	defer runtime.KeepAlive(parent)
	fd := int(parent.Fd())
	st, err := lstatat(fd, base)
	if err == nil && IsWhiteout(&st) {
		// The layer deletes what lay there before it puts something new there.
		return a.overWhiteout(fd, base, func() error {
			if err := unix.Mkdirat(fd, base, 0o755); err != nil {
				return err
			}
			return a.implied(fd, base, p)
		})
	}
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return fmt.Errorf("%s is not a directory: %w", show(p), errs.ErrInvalid)
	}
	d, err := safepath.MkdirAll(a.root, p, 0o755, func(dir *os.File) error {
		defer runtime.KeepAlive(dir)
		return a.implied(int(dir.Fd()), ".", p)
	})
	if err != nil {
		return err
	}
	return d.Close()
}

// overWhiteout replaces a whiteout by a directory, which has to hide the same.
func (a *applier) overWhiteout(dir int, base string, mkdir func() error) error {
	if err := unix.Unlinkat(dir, base, 0); err != nil {
		return err
	}
	if err := mkdir(); err != nil {
		return err
	}
	if a.o.Flat {
		return nil
	}
	return setOpaque(dir, base)
}

// implied gives a directory without an entry of its own what the parents'
// directory has, or root's ownership; its time does not depend on the clock.
func (a *applier) implied(dir int, base, p string) error {
	a.stats.Implied = append(a.stats.Implied, p)
	h := &tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}
	if err := a.inherit(h, p); err != nil {
		return err
	}
	return a.dirAttrs(dir, base, p, h)
}

// inherit fills in h from the directory p of the parents.
func (a *applier) inherit(h *tar.Header, p string) error {
	if len(a.parents) == 0 {
		return nil
	}
	_, st, ok, err := Lookup(a.o.Parents, p)
	if err != nil || !ok || !isDir(&st) {
		return err
	}
	m, err := a.parentDir(p)
	if err != nil {
		return err
	}
	defer m.close()
	if len(m) == 0 {
		return nil
	}
	x, err := readAttrs(m[0].fd)
	if err != nil {
		return err
	}
	fillHeader(h, &st, x)
	return nil
}

// parentDir opens the merged directory p of the parents.
func (a *applier) parentDir(p string) (merged, error) {
	m, err := openMerged(a.o.Parents)
	for _, name := range strings.Split(p, "/") {
		if err != nil || name == "" {
			break
		}
		var sub merged
		sub, err = m.sub(name)
		m.close()
		m = sub
	}
	return m, err
}

// putDir applies a directory entry.
func (a *applier) putDir(dir *dirHandle, base, p string, h *tar.Header) error {
	mkdir := func() error { return unix.Mkdirat(dir.fd, base, 0o700) }
	err := mkdir()
	if err == unix.EEXIST {
		var st unix.Stat_t
		if st, err = lstatat(dir.fd, base); err != nil {
			return err
		}
		switch {
		case isDir(&st):
		case IsWhiteout(&st):
			err = a.overWhiteout(dir.fd, base, mkdir)
		default:
			if err = a.remove(dir.fd, base, &st); err == nil {
				err = mkdir()
			}
		}
	}
	if err != nil {
		return err
	}
	return a.dirAttrs(dir.fd, base, p, h)
}

// lateDir is what a directory gets when nothing is written into it any more.
type lateDir struct {
	path  string
	mode  uint32
	mtime unix.Timespec
	acl   string // default ACL, which new entries would inherit
}

// dirAttrs gives a directory its attributes, and the caller the right to write
// into it until the end.
func (a *applier) dirAttrs(dir int, base, p string, h *tar.Header) error {
	if err := a.attrs(dir, base, h); err != nil {
		return err
	}
	mode := uint32(h.Mode & 0o7777)
	if err := unix.Fchmodat(dir, base, mode|0o700, 0); err != nil {
		return err
	}
	st, err := lstatat(dir, base)
	if err != nil {
		return err
	}
	a.late[idOf(&st)] = lateDir{
		path: p, mode: mode, mtime: timespec(h.ModTime),
		acl: h.PAXRecords[xattrRecord+defaultACL],
	}
	return nil
}

// finishDirs sets the modes and times that writing would have been in the way of.
func (a *applier) finishDirs() error {
	a.dirs.flush()
	for id, l := range a.late {
		if err := a.finishDir(id, l); err != nil {
			return &entryError{path.Join("/", l.path), err}
		}
	}
	return nil
}

func (a *applier) finishDir(id fileID, l lateDir) error {
	f, err := safepath.Open(a.root, l.path, openDirFlags, 0)
	if missing(err) || errors.Is(err, unix.ELOOP) {
		return nil // a later entry took its place
	}
	if err != nil {
		return err
	}
	defer f.Close()
	defer runtime.KeepAlive(f)
	fd := int(f.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if idOf(&st) != id {
		return nil
	}
	if l.acl != "" {
		if err := a.setXattr(fd, ".", defaultACL, l.acl, tar.TypeDir); err != nil {
			return err
		}
	}
	if err := unix.UtimesNanoAt(fd, ".", []unix.Timespec{l.mtime, l.mtime}, 0); err != nil {
		return err
	}
	if st.Mode&0o7777 != l.mode {
		return unix.Fchmod(fd, l.mode)
	}
	return nil
}
