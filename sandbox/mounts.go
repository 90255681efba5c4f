//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/sandbox/internal/inside"
)

// cloneTree makes a detached bind mount of what f is. Linux before 6.15 cannot
// clone a detached mount (EINVAL): f itself is given then, to be moved.
func cloneTree(f *os.File, recursive bool) (clone *os.File, detached bool, err error) {
	flags := unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(int(f.Fd()), "", uint(flags))
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		detached = true
	}
	if err != nil {
		return nil, false, err
	}
	return os.NewFile(uintptr(fd), f.Name()), detached, nil
}

// addMount prepares the i-th user mount: its source and its place.
func (l *launch) addMount(m *Mount) error {
	c := inside.Mount{Target: m.Target, Subpath: m.Subpath, ReadOnly: m.ReadOnly, Recursive: m.Recursive}
	if m.Kind == Tmpfs {
		c.Data, c.NoExec, c.NoDev = tmpfsOptions(m), m.NoExec, m.NoDev
	} else if err := l.addSource(m, &c); err != nil {
		return fmt.Errorf("mount %s: %w", m.Target, err)
	}
	l.config.Mounts = append(l.config.Mounts, c)
	return l.stubs.add(m.Target, c.File, false)
}

func tmpfsOptions(m *Mount) []string {
	mode := m.Mode
	if mode == 0 {
		mode = 0o1777
	}
	o := []string{"mode=" + strconv.FormatUint(uint64(mode), 8)}
	if m.Size > 0 {
		o = append(o, "size="+strconv.FormatInt(m.Size, 10))
	}
	return append(o, m.Options...)
}

// addSource opens what m binds and hands it to the sandbox.
func (l *launch) addSource(m *Mount, c *inside.Mount) error {
	src := m.SourceFile
	if src == nil {
		f, err := os.OpenFile(m.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		src = f
	}
	leaf := src
	if m.Subpath != "" {
		f, err := safepath.Open(src, m.Subpath, unix.O_PATH, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		leaf = f
	}
	st, err := leaf.Stat()
	if err != nil {
		return err
	}
	c.File = !st.IsDir()
	if l.nested {
		return l.addByPath(leaf, c)
	}
	tree, detached, err := cloneTree(leaf, m.Recursive)
	if err != nil {
		return fmt.Errorf("bind %s: %w", src.Name(), err)
	}
	if detached && m.Subpath != "" {
		// The whole mount goes in, the part is found there.
		tree.Close()
		if tree, _, err = cloneTree(src, m.Recursive); err != nil {
			return fmt.Errorf("bind %s: %w", src.Name(), err)
		}
	}
	c.Detached = detached
	c.FD = l.addFile(tree)
	return nil
}

// addByPath hands over f and its path, since without privileges only the
// sandbox itself can bind, and only what has a path.
func (l *launch) addByPath(f *os.File, c *inside.Mount) (err error) {
	if c.Path, err = l.pathFor(f); err != nil {
		return err
	}
	dup, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	c.FD = l.addFile(os.NewFile(uintptr(dup), f.Name()))
	return nil
}

// pathOf is where f is. A file that is nowhere is errs.ErrUnsupported.
func pathOf(f *os.File) (string, error) {
	path, err := os.Readlink(fdPath(f))
	if err != nil {
		return "", err
	}
	var here, there unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &here); err != nil {
		return "", err
	}
	if err := unix.Stat(path, &there); err != nil || here.Dev != there.Dev || here.Ino != there.Ino {
		return "", fmt.Errorf("%s has no path, which rootless mode needs: %w", f.Name(), errs.ErrUnsupported)
	}
	return path, nil
}
