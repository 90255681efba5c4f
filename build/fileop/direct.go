//go:build linux

package fileop

import (
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
)

// A Dest is a tree that files are copied to.
type Dest struct {
	// Dir is the open root of the tree.
	Dir *os.File
	// Upper, when not nil, is where an overlay mounted at Dir keeps what is
	// written. What goes into directories that the copy made itself is written
	// there without the detour through the overlay, which knows nothing of them
	// yet.
	Upper *os.File
}

// direct opens the directory target, which this copy made, in the upper
// directory; ok is false when there is none.
func (c *copier) direct(target string) (fd int, ok bool, err error) {
	if c.upper == nil {
		return -1, false, nil
	}
	dir, err := safepath.Open(c.upper, target, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, false, pathError("open", target, err)
	}
	defer dir.Close()
	fd, err = unix.FcntlInt(dir.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return fd, err == nil, err
}

// sharing says whether files may still be tried to be shared with the source:
// one failure means that the two trees are not on one filesystem.
type sharing struct{ off atomic.Bool }

func (s *sharing) note(err error) {
	if err == unix.EXDEV || err == unix.EPERM || err == unix.EOPNOTSUPP {
		s.off.Store(true)
	}
}

// share gives e a second name instead of a copy. Only a file of a tree that
// never changes is shared, and only when its copy would look just the same: so
// a file has at most two names, in two trees.
func (w *writer) share(p *dirPair, e *entry, name string, m meta) bool {
	if !w.src.Immutable || !p.direct || e.st.Nlink != 1 || w.sharing.off.Load() {
		return false
	}
	if !m.fits(&e.st) || !plainXattrs(p.from, e) {
		return false
	}
	err := unix.Linkat(p.from, e.name, p.to, name, 0)
	w.sharing.note(err)
	return err == nil // if not, copying will say why
}

// plainXattrs says whether e has no xattrs but those that a copy gets.
func plainXattrs(dir int, e *entry) bool {
	want := 0
	if len(e.caps) > 0 {
		want = len(capsXattr) + 1
	}
	n, err := unix.Llistxattr(fmt.Sprintf("/proc/self/fd/%d/%s", dir, e.name), nil)
	return err == unix.EOPNOTSUPP && want == 0 || err == nil && n == want
}
