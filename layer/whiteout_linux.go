package layer

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// entryKey names a place in the tree whatever path leads to it.
type entryKey struct {
	dir  fileID
	name string
}

// whiteout applies an entry that has a part with the prefix .wh. in its name.
func (a *applier) whiteout(parent, base string) error {
	name, marked := strings.CutPrefix(base, whiteoutPrefix)
	opaque := base == whiteoutOpaque
	switch {
	case hasPart(parent, whiteoutPrefix+whiteoutPrefix), !opaque && hasPart(base, whiteoutPrefix+whiteoutPrefix):
		return nil // bookkeeping of aufs, which says nothing about files
	case !marked, hasPart(parent, whiteoutPrefix):
		return fmt.Errorf("whiteout as a directory: %w", errs.ErrInvalid)
	case name == "", name == ".", name == "..":
		return fmt.Errorf("whiteout of %q: %w", name, errs.ErrInvalid)
	}
	dir, err := a.dir(parent)
	if err != nil {
		return err
	}
	if opaque {
		return a.opaque(dir)
	}
	return a.hide(dir, name)
}

// hasPart says that a component of p begins with prefix.
func hasPart(p, prefix string) bool {
	return strings.HasPrefix(p, prefix) || strings.Contains(p, "/"+prefix)
}

// hide deletes what trees below have at a name. What this layer itself has
// there stays, whichever comes first in the archive.
func (a *applier) hide(dir *dirHandle, name string) error {
	if a.o.Flat {
		a.dirs.forgetOthers(dir.fd)
		_, err := a.removeOld(dir.fd, dir.id, name)
		return err
	}
	err := unix.Mknodat(dir.fd, name, unix.S_IFCHR, 0)
	if err != unix.EEXIST {
		return err
	}
	st, err := lstatat(dir.fd, name)
	if err != nil || !isDir(&st) {
		return err
	}
	return setOpaque(dir.fd, name)
}

// opaque deletes what trees below have in a directory.
func (a *applier) opaque(dir *dirHandle) error {
	if !a.o.Flat {
		return setOpaque(dir.fd, ".")
	}
	a.dirs.forgetOthers(dir.fd)
	_, err := a.clearOld(dir.fd, dir.id)
	return err
}

func setOpaque(dir int, base string) error {
	name := overlayPrefix() + "opaque"
	if err := unix.Lsetxattr(procPath(dir, base), name, []byte("y"), 0); err != nil {
		return fmt.Errorf("set xattr %s: %w", name, err)
	}
	return nil
}

// removeOld deletes an entry of a plain tree and all below it, but for what
// this layer made; kept says that there was such.
func (a *applier) removeOld(dir int, id fileID, name string) (kept bool, err error) {
	st, err := lstatat(dir, name)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	mine := a.made[entryKey{id, name}]
	if !isDir(&st) {
		if mine {
			return true, nil
		}
		return false, unix.Unlinkat(dir, name, 0)
	}
	fd, err := openat(dir, name, openDirFlags, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	kept, err = a.clearOld(fd, idOf(&st))
	if err != nil || kept || mine {
		return kept || mine, err
	}
	return false, unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}

// clearOld is removeOld for all entries of an open directory.
func (a *applier) clearOld(dir int, id fileID) (kept bool, err error) {
	list, err := names(dir)
	if err != nil {
		return false, err
	}
	for _, name := range list {
		k, err := a.removeOld(dir, id, name)
		if err != nil {
			return false, err
		}
		kept = kept || k
	}
	return kept, nil
}
