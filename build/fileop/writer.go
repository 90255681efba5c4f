//go:build linux

package fileop

import (
	"context"
	"os"
	"path"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// writers is how many goroutines write files.
const writers = 2

// writer writes one scanned tree. Directories are made in order by the caller's
// goroutine, other files by writers; hard links and what directories get at the
// end come when those are done, so that the result does not depend on them.
type writer struct {
	*copier
	files *errgroup.Group
	names map[inode]string // first copy of a file with several names
	links []hardLink
	dirs  []madeDir

	sharing sharing
	donated donated
}

// hardLink is another name for a file that was copied already.
type hardLink struct{ old, target string }

// madeDir is a directory that gets its metadata at the end.
type madeDir struct {
	target string
	from   *entry
	// What is set: all of it, the mode only, or the times only.
	what dirMeta
}

type dirMeta uint8

const (
	dirAll dirMeta = iota
	dirMode
	dirTimes
)

// dirPair is a source directory and its copy, open while someone needs them.
type dirPair struct {
	from, to int
	target   string
	fresh    bool // the copy was made here: nothing is in the way
	direct   bool // to is on the filesystem that keeps it, not in an overlay
	users    atomic.Int32
}

func (p *dirPair) release() {
	if p.users.Add(-1) == 0 {
		unix.Close(p.from)
		unix.Close(p.to)
	}
}

func newWriter(c *copier) *writer {
	return &writer{copier: c, names: map[inode]string{}}
}

// top writes the tree e as target, whose last component is in the open
// directory dir. st is what is there now, or nil; made says that what is there
// was made for this copy.
func (w *writer) top(ctx context.Context, dir *os.File, target string, e *entry, st *unix.Stat_t, made bool) error {
	name := path.Base("./" + target)
	parent, err := openParent(w.src.Dir, e.path)
	if err != nil {
		return err
	}
	defer parent.Close()
	if !e.isDir() {
		if name == "." {
			return clash("", "the root", "a file")
		}
		p := &dirPair{from: int(parent.Fd()), to: int(dir.Fd()), target: path.Dir("/" + target)[1:]}
		return w.file(ctx, p, e, name)
	}
	what := dirAll
	if st != nil && isDir(st) {
		what = dirTimes
	}
	fresh, err := w.mkdir(int(dir.Fd()), name, target)
	if err != nil {
		return err
	}
	w.dirs = append(w.dirs, madeDir{target, e, what})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	w.files = g
	from := e.name
	if from == "" {
		from = "."
	}
	err = w.dir(ctx, int(parent.Fd()), from, int(dir.Fd()), name, target, fresh || made, e)
	if failed := g.Wait(); failed != nil {
		err = failed
	}
	if err == nil {
		err = w.finish()
	}
	return err
}

// mkdir makes sure that name is a directory.
func (w *writer) mkdir(dir int, name, target string) (fresh bool, err error) {
	for {
		err := unix.Mkdirat(dir, name, 0o700)
		if err == nil {
			return true, nil
		}
		if err != unix.EEXIST {
			return false, pathError("mkdir", target, err)
		}
		var st unix.Stat_t
		if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return false, pathError("stat", target, err)
		}
		if isDir(&st) {
			return false, nil
		}
		if !w.a.AlwaysReplaceExistingDestPaths {
			return false, clash(target, kindName(st.Mode), "a directory")
		}
		if err := unix.Unlinkat(dir, name, 0); err != nil {
			return false, pathError("remove", target, err)
		}
	}
}

// dir writes what the directory e holds into target.
func (w *writer) dir(ctx context.Context, fromParent int, from string, toParent int, to, target string, fresh bool, e *entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &dirPair{target: target, fresh: fresh}
	var err error
	if p.from, err = openat(fromParent, from, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0); err != nil {
		return pathError("open", e.path, err)
	}
	if err := w.openTarget(p, toParent, to); err != nil {
		unix.Close(p.from)
		return err
	}
	p.users.Store(1)
	defer p.release()
	var batch []*entry
	var bytes int64
	for _, kid := range e.kids {
		if kid.isDir() {
			if err := w.subdir(ctx, p, kid); err != nil {
				return err
			}
			continue
		}
		if w.isLink(kid, p) {
			continue
		}
		batch, bytes = append(batch, kid), bytes+kid.st.Size
		if len(batch) == 64 || bytes >= 1<<20 {
			w.start(ctx, p, batch)
			batch, bytes = nil, 0
		}
	}
	w.start(ctx, p, batch)
	return nil
}

// openTarget opens p's copy, which is to in the directory toParent.
func (w *writer) openTarget(p *dirPair, toParent int, to string) (err error) {
	if p.fresh {
		if p.to, p.direct, err = w.direct(p.target); p.direct || err != nil {
			return err
		}
	}
	if p.to, err = openat(toParent, to, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0); err != nil {
		return pathError("open", p.target, err)
	}
	return nil
}

func (w *writer) subdir(ctx context.Context, p *dirPair, kid *entry) error {
	target := path.Join(p.target, kid.name)
	fresh, err := w.mkdir(p.to, kid.name, target)
	if err != nil {
		return err
	}
	what := dirAll
	if !fresh && !kid.taken {
		what = dirMode // it is only on the way, and was there
	}
	w.dirs = append(w.dirs, madeDir{target, kid, what})
	return w.dir(ctx, p.from, kid.name, p.to, kid.name, target, fresh, kid)
}

// isLink notes a file that was copied under another name.
func (w *writer) isLink(e *entry, p *dirPair) bool {
	if !e.linked() {
		return false
	}
	id, target := inode{e.st.Dev, e.st.Ino}, path.Join(p.target, e.name)
	old, ok := w.names[id]
	if !ok {
		w.names[id] = target
		return false
	}
	w.links = append(w.links, hardLink{old, target})
	return true
}

// start lets a writer write a batch of files.
func (w *writer) start(ctx context.Context, p *dirPair, batch []*entry) {
	if len(batch) == 0 {
		return
	}
	p.users.Add(1)
	w.files.Go(func() error {
		defer p.release()
		for _, e := range batch {
			if err := w.file(ctx, p, e, e.name); err != nil {
				return err
			}
		}
		return nil
	})
}
