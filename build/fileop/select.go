//go:build linux

package fileop

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// selected is one place that a copy takes: the source path itself, or one
// match of its wildcards.
type selected struct {
	named string // the path as the action names it, relative to the root
	base  string // the name it has when it is copied into a directory
	tree  *entry
}

// choose finds and reads everything that the action takes from src.
func choose(ctx context.Context, src *Source, a *pb.FileActionCopy) ([]selected, error) {
	s := &scanner{root: src.Dir, context: src.Context, layer: src.Immutable}
	var err error
	if s.hide, err = newPatterns(src.Exclude); err != nil {
		return nil, fmt.Errorf("context excludes: %w", err)
	}
	if s.include, err = newPatterns(a.IncludePatterns); err != nil {
		return nil, fmt.Errorf("include: %w", err)
	}
	if s.exclude, err = newPatterns(a.ExcludePatterns); err != nil {
		return nil, fmt.Errorf("exclude: %w", err)
	}
	var found []selected
	if a.AllowWildcard && hasWildcards(a.Src) {
		found, err = s.glob(ctx, a.Src, a.FollowSymlink)
		if err == nil && len(found) == 0 && !a.AllowEmptyWildcard {
			err = notFound(a.Src)
		}
	} else {
		found, err = s.literal(ctx, a)
	}
	if err != nil {
		return nil, err
	}
	if len(a.IncludePatterns) > 0 {
		err = required(found, a.RequiredPaths)
	}
	return found, err
}

// literal reads the one place that a source path without wildcards names.
func (s *scanner) literal(ctx context.Context, a *pb.FileActionCopy) ([]selected, error) {
	named := rooted(a.Src)
	tree, err := s.at(ctx, named, a.FollowSymlink)
	if err != nil {
		return nil, err
	}
	base := path.Base("/" + named)
	if !a.AllowWildcard && strings.HasSuffix(a.Src, "/.") {
		base = "."
	}
	return []selected{{named, base, tree}}, nil
}

// at reads what lies at the path named.
func (s *scanner) at(ctx context.Context, named string, followLast bool) (*entry, error) {
	at, st, err := s.resolver().resolve(named, followLast)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || err == nil && st == nil {
		return nil, notFound("/" + named)
	}
	if err != nil {
		return nil, err
	}
	tree, err := s.scan(ctx, at, st)
	if err == nil && tree == nil {
		return nil, fmt.Errorf("%w: excluded by .dockerignore", notFound("/"+named))
	}
	return tree, err
}

func (s *scanner) resolver() resolver {
	return resolver{s.root, func(path string) bool {
		hidden, _ := s.hide.chain(path)
		return hidden
	}}
}

// glob reads every place that the pattern named matches, in the order of their
// names.
func (s *scanner) glob(ctx context.Context, named string, follow bool) ([]selected, error) {
	var found []selected
	err := s.expand(named, follow, func(at string, st *unix.Stat_t) error {
		tree, err := s.scan(ctx, at, st)
		if err == nil && tree != nil && follow && tree.kind() == unix.S_IFLNK {
			tree, err = s.at(ctx, at, true)
		}
		if err == nil && tree != nil {
			found = append(found, selected{at, path.Base(at), tree})
		}
		return err
	})
	return found, err
}

// expand calls fn for everything that the pattern named matches, in the order
// of their names. Only the directories before the first wildcard may be links.
func (s *scanner) expand(named string, follow bool, fn func(at string, st *unix.Stat_t) error) error {
	parts := strings.Split(rooted(named), "/")
	n := slices.IndexFunc(parts, hasWildcards)
	for _, p := range parts[n:] {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("%q: %w: %w", named, errs.ErrInvalid, err)
		}
	}
	base, st, err := s.resolver().resolve(strings.Join(parts[:n], "/"), follow)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || err == nil && st == nil {
		return fmt.Errorf("%w: there is no %q", notFound(named), "/"+path.Join(parts[:n]...))
	}
	if err != nil || !isDir(st) {
		return err
	}
	if hidden, _ := s.hide.chain(base); hidden && !s.hide.below(base, true) {
		return fmt.Errorf("%w: %q is excluded by .dockerignore", notFound(named), "/"+base)
	}
	return s.globDir(base, parts[n:], fn)
}

// globDir calls fn for everything below the directory at that parts match.
func (s *scanner) globDir(at string, parts []string, fn func(string, *unix.Stat_t) error) error {
	if hidden, _ := s.hide.chain(at); hidden && !s.hide.below(at, true) {
		return nil
	}
	dir, err := openDir(s.root, at)
	if err != nil {
		return err
	}
	defer dir.Close()
	kids, err := readDir(int(dir.Fd()), at)
	if err != nil {
		return fmt.Errorf("read %q: %w", "/"+at, err)
	}
	for _, kid := range kids {
		if ok, _ := path.Match(parts[0], kid.name); !ok {
			continue
		}
		if err := unix.Fstatat(int(dir.Fd()), kid.name, &kid.st, unix.AT_SYMLINK_NOFOLLOW); err == unix.ENOENT {
			continue
		} else if err != nil {
			return &fs.PathError{Op: "stat", Path: "/" + kid.path, Err: err}
		}
		if len(parts) == 1 {
			err = fn(kid.path, &kid.st)
		} else if kid.isDir() {
			err = s.globDir(kid.path, parts[1:], fn)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// required tells which of the paths that have to be there was not taken.
func required(found []selected, paths []string) error {
	for _, p := range paths {
		if !slices.ContainsFunc(found, func(s selected) bool { return s.holds(rooted(p)) }) {
			return notFound(p)
		}
	}
	return nil
}

// holds tells whether the tree has an entry at the path named, as the action
// names paths.
func (s selected) holds(named string) bool {
	if s.named != "" && named != s.named {
		rel, below := strings.CutPrefix(named, s.named+"/")
		if !below {
			return false
		}
		named = rel
	} else if named == s.named {
		return true
	}
	e := s.tree
	for _, name := range strings.Split(named, "/") {
		i := slices.IndexFunc(e.kids, func(k *entry) bool { return k.name == name })
		if i < 0 {
			return false
		}
		e = e.kids[i]
	}
	return true
}

// hasWildcards tells whether a path has a wildcard that is not escaped.
func hasWildcards(name string) bool {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++
		case '*', '?', '[':
			return true
		}
	}
	return false
}

// openDir opens the resolved directory at for reading.
func openDir(root *os.File, at string) (*os.File, error) {
	parent, err := openParent(root, at)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	fd, err := openat(int(parent.Fd()), path.Base("./"+at), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: "/" + at, Err: err}
	}
	return os.NewFile(uintptr(fd), at), nil
}
