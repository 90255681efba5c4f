package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// allAttrs gives a new entry that is no directory its attributes, in the order
// in which none undoes another.
func (a *applier) allAttrs(dir int, base string, h *tar.Header) error {
	if err := a.attrs(dir, base, h); err != nil {
		return err
	}
	if h.Typeflag != tar.TypeSymlink {
		if err := unix.Fchmodat(dir, base, uint32(h.Mode&0o7777), 0); err != nil {
			return fmt.Errorf("set mode: %w", err)
		}
	}
	t := timespec(h.ModTime)
	if err := unix.UtimesNanoAt(dir, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set times: %w", err)
	}
	return nil
}

// attrs sets owner and xattrs.
func (a *applier) attrs(dir int, base string, h *tar.Header) error {
	if a.o.NoOwner {
		if err := a.noteOwner(dir, base, h); err != nil {
			return err
		}
	} else {
		if err := unix.Fchownat(dir, base, h.Uid, h.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("set owner %d:%d: %w", h.Uid, h.Gid, err)
		}
	}
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, xattrRecord)
		if !ok {
			continue
		}
		name = decodeXattr.Replace(name)
		if !carried(name) || name == defaultACL {
			continue
		}
		if err := a.setXattr(dir, base, name, value, h.Typeflag); err != nil {
			return err
		}
	}
	return nil
}

// noteOwner notes the owner that the entry cannot be given. One for which there
// is no room counts as a lost xattr.
func (a *applier) noteOwner(dir int, base string, h *tar.Header) error {
	if !UserXattr() {
		return nil
	}
	err := noteOwner(dir, base, h.Uid, h.Gid)
	if errors.Is(err, errs.ErrUnsupported) || errors.Is(err, unix.ENOTSUP) {
		a.stats.LostXattrs++
		return nil
	}
	return err
}

// setXattr sets one xattr, or counts it where it has no place.
func (a *applier) setXattr(dir int, base, name, value string, typ byte) error {
	err := unix.Lsetxattr(procPath(dir, base), name, []byte(value), 0)
	// Only files and directories have user xattrs; trusted ones are the
	// business of the initial user namespace.
	special := typ != tar.TypeReg && typ != tar.TypeDir && strings.HasPrefix(name, "user.") ||
		strings.HasPrefix(name, "trusted.")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOTSUP):
	case errors.Is(err, unix.EPERM) && (a.o.NoOwner || special):
	default:
		return fmt.Errorf("set xattr %s: %w", name, err)
	}
	a.stats.LostXattrs++
	return nil
}

// fillHeader describes a file of another tree as a tar would.
func fillHeader(h *tar.Header, st *unix.Stat_t, x attrs) {
	h.Mode = int64(st.Mode & 0o7777)
	h.Uid, h.Gid = int(st.Uid), int(st.Gid)
	h.ModTime = time.Unix(st.Mtim.Unix())
	h.PAXRecords = map[string]string{}
	for name, value := range x.carried {
		h.PAXRecords[xattrRecord+encodeXattr.Replace(name)] = value
	}
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{} // the epoch, for entries that say nothing
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
