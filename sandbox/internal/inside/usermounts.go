//go:build linux

package inside

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// mountUser makes the caller's mounts, in their order.
func (w *world) mountUser() error {
	for i := range w.c.Mounts {
		m := &w.c.Mounts[i]
		if err := w.mountOne(m, i); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
		}
	}
	return nil
}

func (w *world) mountOne(m *Mount, i int) error {
	if m.FD == 0 {
		attr := nosuid
		if m.ReadOnly {
			attr |= rdonly
		}
		if m.NoExec {
			attr |= noexec
		}
		if m.NoDev {
			attr |= nodev
		}
		fd, err := newFS("tmpfs", attr, m.Data...)
		if err != nil {
			return err
		}
		return w.place(fd, m.Target, false)
	}
	fd := m.FD
	if m.Path != "" {
		var err error
		if fd, err = rebind(m.FD, m.Path); err != nil {
			return err
		}
	}
	if m.Detached && m.Subpath != "" {
		var err error
		if fd, err = w.subtree(fd, m.Subpath, i); err != nil {
			return err
		}
	}
	attr := w.deviceAttr()
	if m.ReadOnly {
		attr |= rdonly
	}
	return w.bind(fd, m.Target, m.File, attr, m.Recursive)
}

// rebind binds path, which must be the file that fd is.
func rebind(fd int, path string) (int, error) {
	// What a new user namespace got mounted below must come along.
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_SYMLINK_NOFOLLOW)
	if err != nil {
		return -1, fmt.Errorf("bind %s: %w", path, err)
	}
	var a, b unix.Stat_t
	if err := unix.Fstat(fd, &a); err != nil {
		return -1, err
	}
	if err := unix.Fstat(tree, &b); err != nil {
		return -1, err
	}
	if a.Dev != b.Dev || a.Ino != b.Ino {
		return -1, fmt.Errorf("bind %s: it is another file now: %w", path, unix.ESTALE)
	}
	return tree, nil
}

// subtree binds part of a detached mount, which kernels before 6.15 allow only
// once it is attached: the stage is the place.
func (w *world) subtree(fd int, sub string, i int) (int, error) {
	name := "m" + strconv.Itoa(i)
	if err := unix.Mkdirat(w.stage, name, 0o700); err != nil {
		return -1, err
	}
	if err := attachAt(fd, w.stage, name); err != nil {
		return -1, err
	}
	p, err := lookup(fd, sub, 0)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", sub, err)
	}
	defer unix.Close(p)
	return cloneAt(p, "", false)
}
