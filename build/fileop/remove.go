//go:build linux

package fileop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// Rm removes the path of a, or all that its wildcards match, with everything
// below. Links are removed, not followed. A missing path is errs.ErrNotFound
// unless the action allows it; wildcards that match nothing are fine.
func Rm(ctx context.Context, dst *os.File, a *pb.FileActionRm) error {
	names := []string{rooted(a.Path)}
	if a.AllowWildcard && hasWildcards(a.Path) {
		s := &scanner{root: dst}
		var err error
		if names, err = s.names(a.Path); err != nil {
			if errors.Is(err, errs.ErrNotFound) && a.AllowNotFound {
				return nil
			}
			return fmt.Errorf("rm: %w", err)
		}
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := rm(dst, name, a.AllowNotFound); err != nil {
			return fmt.Errorf("rm: %w", err)
		}
	}
	return nil
}

// names are the paths that a pattern matches; only the parents of the first
// wildcard may be links.
func (s *scanner) names(pattern string) ([]string, error) {
	var names []string
	err := s.expand(pattern, false, func(at string, _ *unix.Stat_t) error {
		names = append(names, at)
		return nil
	})
	return names, err
}

func rm(dst *os.File, name string, allowMissing bool) error {
	if name == "" {
		return fmt.Errorf("the root cannot be removed: %w", errs.ErrInvalid)
	}
	dir, _, err := resolver{root: dst}.resolve(path.Dir("/"+name), true)
	if err != nil {
		return err
	}
	parent, err := openParent(dst, path.Join(dir, "x"))
	if err == nil {
		defer parent.Close()
		err = removeAll(int(parent.Fd()), path.Base(name))
	}
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
	switch {
	case missing && allowMissing:
		return nil
	case missing:
		return notFound("/" + name)
	case err != nil:
		return pathError("remove", name, err)
	}
	return nil
}

// removeAll removes name in the open directory dir with everything below.
func removeAll(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if err != unix.EISDIR {
		return err
	}
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	kids, err := readDir(fd, "")
	if err != nil {
		return err
	}
	for _, kid := range kids {
		if err := removeAll(fd, kid.name); err != nil {
			return err
		}
	}
	return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
}
