//go:build linux

package fileop

import (
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/layer"
)

// ownerOf is the owner that e has in the source: in a build context every file
// is root's.
func ownerOf(src *Source, e *entry) Owner {
	if src.Context {
		return Owner{}
	}
	return Owner{int(e.st.Uid), int(e.st.Gid)}
}

// timeOf reads the timestamp of an action, nanoseconds since 1970; -1 is none.
func timeOf(ns int64) *unix.Timespec {
	if ns == -1 {
		return nil
	}
	t := unix.NsecToTimespec(ns)
	return &t
}

// setTimes sets both times of name in the directory dir, or of dir itself when
// name is "". Links are not followed.
func setTimes(dir int, name string, t unix.Timespec) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{t, t}, flags)
}

// meta is what a written file gets besides its content.
type meta struct {
	owner Owner
	mode  uint32 // permissions with setuid, setgid and sticky
	time  unix.Timespec
	caps  []byte
}

// meta gives what e's copy gets.
func (c *copier) meta(e *entry) meta {
	m := meta{owner: ownerOf(c.src, e), mode: c.mode.apply(e.st.Mode), time: e.st.Mtim, caps: e.caps}
	if c.owner != nil {
		m.owner = *c.owner
	}
	if c.time != nil {
		m.time = *c.time
	}
	return m
}

// set gives the open file or directory fd its owner, mode and capabilities.
// The order matters: a change of owner drops setuid and capabilities.
func (m meta) set(fd int) error {
	was, err := chown(fd, m.owner)
	if err != nil {
		return err
	}
	if was != m.mode {
		if err := unix.Fchmod(fd, m.mode); err != nil {
			return err
		}
	}
	if len(m.caps) > 0 {
		if err := unix.Fsetxattr(fd, capsXattr, m.caps, 0); err != nil {
			return err
		}
	}
	return setTimes(fd, "", m.time)
}

// chown gives the open file fd an owner, unless it has it already, and tells
// its mode. A new file has no setuid or setgid yet that this could take away.
func chown(fd int, o Owner) (mode uint32, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, err
	}
	if int(st.Uid) == o.UID && int(st.Gid) == o.GID && !layer.SingleID() {
		return st.Mode & 0o7777, nil
	}
	return st.Mode & 0o7777, layer.ChownFile(fd, o.UID, o.GID)
}

// setAt is set for a link, device or fifo, which cannot be opened.
func (m meta) setAt(dir int, name string, isLink bool) error {
	if err := layer.Chown(dir, name, m.owner.UID, m.owner.GID); err != nil {
		return err
	}
	if !isLink {
		if err := unix.Fchmodat(dir, name, m.mode, 0); err != nil {
			return err
		}
	}
	return setTimes(dir, name, m.time)
}

// setDir gives a directory owner and mode, but no time yet: what comes into it
// changes that.
func (m meta) setDir(dir int, name string) error {
	if err := layer.Chown(dir, name, m.owner.UID, m.owner.GID); err != nil {
		return err
	}
	return unix.Fchmodat(dir, name, m.mode, 0)
}

// setAgain gives a file that has another name already what its entry under this
// one says: the last entry wins. A symbolic link gets an owner only.
func (m meta) setAgain(dir int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if err := layer.Chown(dir, name, m.owner.UID, m.owner.GID); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil
	}
	if err := unix.Fchmodat(dir, name, m.mode, 0); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && len(m.caps) > 0 {
		if err := setCaps(dir, name, m.caps); err != nil {
			return err
		}
	}
	return setTimes(dir, name, m.time)
}

func setCaps(dir int, name string, caps []byte) error {
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Fsetxattr(fd, capsXattr, caps, 0)
}
