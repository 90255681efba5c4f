//go:build linux

package copy

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/layer"
)

type inode struct{ dev, ino uint64 }

// A merger lays one layer over a tree.
type merger struct {
	ctx   context.Context
	links map[inode]string // the first copy of a file with several links
}

// merge lays the layer at the directory lower over the tree at root.
func merge(ctx context.Context, lower, root string) error {
	from, err := openDir(lower)
	if err != nil {
		return err
	}
	defer from.close()
	to, err := openDir(root)
	if err != nil {
		return err
	}
	defer to.close()
	// Links are made while the directory of the first copy is no longer open, so
	// their paths go through the root.
	m := &merger{ctx: ctx, links: map[inode]string{}}
	return m.dir(from, to, root)
}

// dir lays the directory from over to, whose path is path.
func (m *merger) dir(from, to dir, path string) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	names, err := from.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := m.entry(from, to, name, path+"/"+name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(from.f.Fd()), &st); err != nil {
		return err
	}
	return copyMetadata(from.self(), to.self(), &st)
}

func (m *merger) entry(from, to dir, name, path string) error {
	st, exists, err := from.stat(name)
	if err != nil || !exists {
		return err
	}
	old, covers, err := to.stat(name)
	if err != nil {
		return err
	}
	merges := isDir(&st) && covers && isDir(&old) && !isOpaque(from.at(name))
	if covers && !merges {
		if err := os.RemoveAll(to.at(name)); err != nil {
			return err
		}
	}
	switch {
	case layer.IsWhiteout(&st):
		return nil
	case isDir(&st):
		if !merges {
			err = os.Mkdir(to.at(name), 0o700)
		} else {
			err = unix.Chmod(to.at(name), 0o700) // until its metadata is set, for users who are not root
		}
		if err != nil {
			return err
		}
		return m.subdir(from, to, name, path)
	case st.Nlink > 1:
		return m.link(from.at(name), to.at(name), path, &st)
	}
	return copyNode(from.at(name), to.at(name), &st)
}

func (m *merger) subdir(from, to dir, name, path string) error {
	f, err := openDir(from.at(name))
	if err != nil {
		return err
	}
	defer f.close()
	t, err := openDir(to.at(name))
	if err != nil {
		return err
	}
	defer t.close()
	return m.dir(f, t, path)
}

// link copies a file with several links once. If the first copy cannot be linked
// to, because its path is too long or has too many links, it is copied again.
func (m *merger) link(from, to, path string, st *unix.Stat_t) error {
	k := inode{st.Dev, st.Ino}
	if first, ok := m.links[k]; ok {
		err := os.Link(first, to)
		if err == nil || !errors.Is(err, unix.ENAMETOOLONG) && !errors.Is(err, unix.EMLINK) {
			return err
		}
	}
	m.links[k] = path
	return copyNode(from, to, st)
}
