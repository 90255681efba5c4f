//go:build linux

package fileop

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/safepath"
)

// Copy copies what a selects from src into the tree dst. owner, when not nil,
// is the owner for everything copied or created; without it, copied files keep
// theirs and created directories belong to the caller. A source that is missing
// or excluded is errs.ErrNotFound.
func Copy(ctx context.Context, dst *os.File, src *Source, a *pb.FileActionCopy, owner *Owner) error {
	return CopyTo(ctx, Dest{Dir: dst}, src, a, owner)
}

// CopyTo is Copy into a tree of which more is known.
func CopyTo(ctx context.Context, dst Dest, src *Source, a *pb.FileActionCopy, owner *Owner) error {
	mode, err := newChmod(a)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	found, err := choose(ctx, src, a)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	c := &copier{dst: dst.Dir, upper: dst.Upper, src: src, a: a, owner: owner, mode: mode, time: timeOf(a.Timestamp)}
	if err := c.checkParent(); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	for _, s := range found {
		if err := c.copy(ctx, s); err != nil {
			return fmt.Errorf("copy %q: %w", "/"+s.named, err)
		}
	}
	return nil
}

// copier carries out one copy action.
type copier struct {
	dst   *os.File
	src   *Source
	a     *pb.FileActionCopy
	owner *Owner
	mode  chmod
	time  *unix.Timespec // nil keeps each file's own
	upper *os.File       // Dest.Upper
}

// checkParent refuses a destination whose parent would have to be created
// where the action does not allow that.
func (c *copier) checkParent() error {
	if c.a.CreateDestPath {
		return nil
	}
	at, st, err := resolver{root: c.dst}.resolve(c.a.Dest, true)
	if err != nil || st != nil {
		return err
	}
	dir := path.Dir("/" + at)
	if _, err := safepath.Lstat(c.dst, dir); err != nil {
		return fmt.Errorf("destination %q: %w", c.a.Dest, err)
	}
	return nil
}

// copy copies one source: an archive is unpacked where the action says so.
func (c *copier) copy(ctx context.Context, s selected) error {
	if c.a.AttemptUnpackDockerCompatibility && s.tree.kind() == unix.S_IFREG {
		if done, err := c.unpack(ctx, s.tree); done || err != nil {
			return err
		}
	}
	var made madeDirs
	defer made.close()
	target, st, err := c.target(s, &made)
	if err != nil {
		return err
	}
	dir, err := openParent(c.dst, target)
	if err != nil {
		return err
	}
	defer dir.Close()
	w := newWriter(c)
	if err := w.top(ctx, dir, target, s.tree, st, made.any); err != nil {
		return err
	}
	return made.settle(c.time)
}

// target makes the directories that the destination needs, and gives the
// resolved path that s is to get, with what is there now.
func (c *copier) target(s selected, made *madeDirs) (string, *unix.Stat_t, error) {
	resolve := resolver{root: c.dst}.resolve
	ensure, wantDir := c.a.Dest, strings.HasSuffix(c.a.Dest, "/") || strings.HasSuffix(c.a.Dest, "/.")
	if !wantDir {
		ensure = path.Dir(path.Join("/", ensure))
	}
	if err := c.mkdir(ensure, made); err != nil {
		return "", nil, err
	}
	at, st, err := resolve(c.a.Dest, true)
	if err != nil {
		return "", nil, err
	}
	switch {
	case s.tree.isDir() && c.a.DirCopyContents:
		if st != nil {
			return at, st, nil
		}
		if err := c.mkdir(at, made); err != nil {
			return "", nil, err
		}
	case isDir(st):
		at = rooted(path.Join("/", at, s.base))
		if err := c.mkdir(path.Dir("/"+at), made); err != nil {
			return "", nil, err
		}
	default:
		if err := c.mkdir(path.Dir("/"+at), made); err != nil {
			return "", nil, err
		}
		return at, st, nil
	}
	found, err := safepath.Lstat(c.dst, at)
	if os.IsNotExist(err) {
		return at, nil, nil
	}
	return at, &found, err
}

// mkdir makes a directory with its parents.
func (c *copier) mkdir(name string, made *madeDirs) error {
	dir, err := safepath.MkdirAll(c.dst, name, c.mode.parents(), made.add(c.owner, c.time))
	if err != nil {
		return err
	}
	return dir.Close()
}

// madeDirs are directories made on the way to a destination. Their times are
// set when all is in them.
type madeDirs struct {
	any bool  // whether one was made: then so was the last one, the destination
	fds []int // of those that get a time
}

// add gives a callback for safepath.MkdirAll.
func (m *madeDirs) add(owner *Owner, time *unix.Timespec) func(*os.File) error {
	return func(dir *os.File) error {
		m.any = true
		if owner != nil {
			if _, err := chown(int(dir.Fd()), *owner); err != nil {
				return err
			}
		}
		if time == nil {
			return nil
		}
		fd, err := unix.FcntlInt(dir.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			m.fds = append(m.fds, fd)
		}
		return err
	}
}

func (m *madeDirs) settle(time *unix.Timespec) error {
	for _, fd := range slices.Backward(m.fds) {
		if err := setTimes(fd, "", *time); err != nil {
			return fmt.Errorf("set times: %w", err)
		}
	}
	return nil
}

func (m *madeDirs) close() {
	for _, fd := range m.fds {
		unix.Close(fd)
	}
}

// clash is the error for a target that a source cannot replace.
func clash(target, is, want string) error {
	return fmt.Errorf("%q is %s, and cannot be replaced with %s: %w", "/"+target, is, want, errs.ErrConflict)
}

// pathError names the target of a failed system call.
func pathError(op, target string, err error) error {
	return &fs.PathError{Op: op, Path: "/" + target, Err: err}
}
