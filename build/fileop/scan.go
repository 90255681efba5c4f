//go:build linux

package fileop

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/layer"
)

// scanners is how many directories are read at a time.
const scanners = 4

// entry is one file of a scanned tree.
type entry struct {
	path string // relative to the source's root, "" for the root
	name string // the last component of path
	st   unix.Stat_t
	link string // target of a symbolic link
	caps []byte // the xattr security.capability
	// taken says that the patterns take the entry itself; a directory that is
	// not taken is there for what is below it.
	taken bool
	// hidden says that .dockerignore matches it. A hidden directory exists
	// when it holds something that is not.
	hidden, exists bool
	kids           []*entry // by name
}

func (e *entry) kind() uint32 { return e.st.Mode & unix.S_IFMT }

func (e *entry) isDir() bool { return e.kind() == unix.S_IFDIR }

// linked tells whether e is a regular file that may have other names.
func (e *entry) linked() bool { return e.kind() == unix.S_IFREG && e.st.Nlink > 1 }

// scanner reads trees of a source.
type scanner struct {
	root             *os.File
	context          bool
	layer            bool      // the root is one layer: its whiteouts are no files
	hide             *patterns // on paths from the source's root
	include, exclude *patterns // on paths from the scanned directory
}

// marks are what the patterns said about a directory.
type marks struct{ hide, include, exclude hits }

// scan reads what at holds and the patterns take. The result is nil when
// nothing exists there for the copy.
func (s *scanner) scan(ctx context.Context, at string, st *unix.Stat_t) (*entry, error) {
	e := &entry{path: at, name: at[strings.LastIndexByte(at, '/')+1:], st: *st, taken: true}
	var m marks
	e.hidden, m.hide = s.hide.chain(at)
	e.exists = !e.hidden
	parent, err := openParent(s.root, at)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	name := e.name
	if name == "" {
		name = "."
	}
	if !s.context {
		if err := layer.Recorded(int(parent.Fd()), name, &e.st); err != nil {
			return nil, fmt.Errorf("stat %q: %w", "/"+at, err)
		}
	}
	if !e.isDir() {
		if e.hidden {
			return nil, nil
		}
		return e, s.details(int(parent.Fd()), e)
	}
	if e.hidden && !s.hide.below(at, true) {
		return nil, nil
	}
	walk := dirScan{scanner: s, base: at, others: make(chan struct{}, scanners-1)}
	if err := walk.dir(ctx, int(parent.Fd()), name, e, m); err != nil {
		return nil, err
	}
	if !e.exists {
		return nil, nil
	}
	return e, nil
}

// dirScan is the scan of one directory with all below it.
type dirScan struct {
	*scanner
	base   string        // the directory
	others chan struct{} // holds a token per goroutine beyond the first
}

// dir reads the directory e, which is name in the open directory parent.
func (s *dirScan) dir(ctx context.Context, parent int, name string, e *entry, m marks) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fd, err := openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err == unix.ENOENT && e.path != s.base {
		e.exists = false // gone meanwhile
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %q: %w", "/"+e.path, err)
	}
	defer unix.Close(fd)
	if e.kids, err = readDir(fd, e.path); err != nil {
		return fmt.Errorf("read %q: %w", "/"+e.path, err)
	}
	var group errgroup.Group
	for _, kid := range e.kids {
		km, walk, err := s.look(fd, kid, m)
		if err != nil {
			group.Wait()
			return err
		}
		if !walk {
			continue
		}
		select {
		case s.others <- struct{}{}:
			group.Go(func() error {
				defer func() { <-s.others }()
				return s.dir(ctx, fd, kid.name, kid, km)
			})
		default:
			if err := s.dir(ctx, fd, kid.name, kid, km); err != nil {
				group.Wait()
				return err
			}
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	settle(e)
	return nil
}

// look decides about kid from its name, and reads what is needed of it. walk
// says that it is a directory to be read.
func (s *dirScan) look(dir int, kid *entry, m marks) (km marks, walk bool, err error) {
	maybeDir := kid.kind() == unix.S_IFDIR || kid.kind() == 0
	if maybeDir {
		km = marks{s.hide.newHits(), s.include.newHits(), s.exclude.newHits()}
	}
	kid.hidden = s.hide.match(kid.path, m.hide, km.hide)
	kid.exists = !kid.hidden
	rel := kid.path
	if s.base != "" {
		rel = kid.path[len(s.base)+1:]
	}
	included := s.include == nil || s.include.match(rel, m.include, km.include)
	excluded := s.exclude.match(rel, m.exclude, km.exclude)
	kid.taken = included && !excluded
	if !maybeDir && (kid.hidden || !kid.taken) {
		return km, false, nil
	}
	if err := unix.Fstatat(dir, kid.name, &kid.st, unix.AT_SYMLINK_NOFOLLOW); err == unix.ENOENT {
		kid.exists = false // gone meanwhile
		return km, false, nil
	} else if err != nil {
		return km, false, fmt.Errorf("stat %q: %w", "/"+kid.path, err)
	}
	if s.layer && layer.IsWhiteout(&kid.st) {
		kid.exists = false
		return km, false, nil
	}
	if !s.context {
		if err := layer.Recorded(dir, kid.name, &kid.st); err != nil {
			return km, false, fmt.Errorf("stat %q: %w", "/"+kid.path, err)
		}
	}
	if !kid.isDir() {
		if kid.exists && kid.taken {
			err = s.details(dir, kid)
		}
		return km, false, err
	}
	if kid.hidden && !s.hide.below(kid.path, true) {
		return km, false, nil
	}
	if !kid.hidden && (excluded && !s.exclude.below(rel, true) || !included && !s.include.below(rel, false)) {
		return km, false, nil
	}
	return km, true, nil
}

// settle drops from the read directory e what does not exist or is not taken.
func settle(e *entry) {
	kept := e.kids[:0]
	for _, kid := range e.kids {
		if !kid.exists {
			continue
		}
		e.exists = true
		if kid.taken || len(kid.kids) > 0 {
			kept = append(kept, kid)
		}
	}
	clear(e.kids[len(kept):])
	e.kids = kept
}

// details reads the target of a link and the capabilities of a file.
func (s *scanner) details(dir int, e *entry) (err error) {
	switch e.kind() {
	case unix.S_IFLNK:
		e.link, err = readlinkat(dir, e.name)
	case unix.S_IFREG:
		if !s.context {
			e.caps, err = capability(dir, e.name)
		}
	}
	if err != nil {
		return fmt.Errorf("read %q: %w", "/"+e.path, err)
	}
	return nil
}

// notFound is what users of BuildKit know for a source that is not there.
func notFound(name string) error { return fmt.Errorf("%q: %w", name, errs.ErrNotFound) }
