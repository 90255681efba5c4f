//go:build linux

package store

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/internal/lockfile"
)

// discard moves path to the trash, so that it is gone at once, and unlinks it in
// the background.
func (s *Store) discard(path string) error {
	to, err := s.toTrash(path)
	if err != nil || to == "" {
		return err
	}
	s.removals.Go(func() { s.unlink(to) })
	return nil
}

// toTrash renames path into the trash; "" says that there is nothing.
func (s *Store) toTrash(path string) (string, error) {
	to := s.path("trash", rand.Text())
	err := fault.Rename(path, to)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return to, err
}

// unlink removes what is in the trash, until Close. What is left, or fails, is
// for the next one who tidies up.
func (s *Store) unlink(path string) {
	_ = removeUntil(s.background, path)
}

// WaitForRemovals waits until what was removed in the background is unlinked, or
// ctx ends. Nothing may be removed meanwhile.
func (s *Store) WaitForRemovals(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		s.removals.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// tidy moves what dead processes left to the trash and empties it.
// It gives way to a Prune at work.
func (s *Store) tidy() {
	trash, err := lockfile.Try(s.path("trash.lock"), lockfile.Exclusive)
	if err != nil {
		return
	}
	defer trash.Release()
	s.buryDead()
	s.emptyTrash(s.background)
}

// buryDead waits for a moment in which nobody publishes, at most until Close,
// which may be soon: then it looks once more.
func (s *Store) buryDead() {
	for last := false; ; {
		if gc, err := lockfile.Try(s.path("gc.lock"), lockfile.Exclusive); err == nil {
			_, dead, err := s.leases()
			if err == nil {
				_, _ = s.bury(dead)
			}
			gc.Release()
			return
		} else if last || !errors.Is(err, errs.ErrConflict) {
			return
		}
		select {
		case <-s.background.Done():
			last = true
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// bury moves the temporaries of dead leases to the trash and removes the leases.
// The caller holds gc.lock exclusively. It gives the new path of each, "" where
// there was nothing.
func (s *Store) bury(dead []string) ([]string, error) {
	var paths []string
	for _, name := range dead {
		to, err := s.toTrash(s.path("tmp", name))
		if err != nil {
			return paths, err
		}
		paths = append(paths, to)
		if err := fault.Remove(s.path("leases", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return paths, err
		}
	}
	return paths, nil
}

func (s *Store) emptyTrash(ctx context.Context) {
	entries, err := os.ReadDir(s.path("trash"))
	if err != nil {
		return
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return
		}
		_ = removeUntil(ctx, s.path("trash", e.Name()))
	}
}

// removeUntil removes path and all below it, as far as it gets until ctx ends.
func removeUntil(ctx context.Context, path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return removeAll(path) // it is a file, or needs more
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.IsDir() {
			if err := removeUntil(ctx, filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return removeAll(path)
}

// removeAll is os.RemoveAll, for directories without permissions too, which users
// other than root cannot empty.
func removeAll(path string) error {
	if err := fault.Point(fault.OpUnlink, path); err != nil {
		return err
	}
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = openUp(path)
	return os.RemoveAll(path)
}

// openUp makes all directories below path writable, from the top.
func openUp(path string) error {
	if err := os.Chmod(path, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := openUp(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
