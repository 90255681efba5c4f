//go:build linux

package fileop

import (
	"fmt"
	"path"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
)

// finish makes the hard links and gives directories, innermost first, what
// writing into them would have changed.
func (w *writer) finish() error {
	for _, l := range w.links {
		if err := w.link(l); err != nil {
			return err
		}
	}
	for i := len(w.dirs) - 1; i >= 0; i-- {
		if err := w.settle(w.dirs[i]); err != nil {
			return fmt.Errorf("settle %q: %w", "/"+w.dirs[i].target, err)
		}
	}
	return nil
}

func (w *writer) link(l hardLink) error {
	from, err := openParent(w.dst, l.old)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := openParent(w.dst, l.target)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := w.clear(int(to.Fd()), path.Base(l.target), l.target); err != nil {
		return err
	}
	if err := unix.Linkat(int(from.Fd()), path.Base(l.old), int(to.Fd()), path.Base(l.target), 0); err != nil {
		return pathError("link", l.target, err)
	}
	return nil
}

func (w *writer) settle(d madeDir) error {
	dir, err := safepath.Open(w.dst, d.target, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer dir.Close()
	fd, m := int(dir.Fd()), w.meta(d.from)
	switch d.what {
	case dirMode:
		if err := unix.Fchmod(fd, d.from.st.Mode&0o7777); err != nil {
			return err
		}
	case dirAll:
		return m.set(fd)
	}
	return setTimes(fd, "", m.time)
}
