//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/internal/fault"
)

// State reads a small file of this store for a caller's own use (stat indexes,
// memos): what can be lost at any time. Name is a relative path.
// errs.ErrNotFound if it was not put, or was lost.
func (s *Store) State(name string) ([]byte, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("read state %q: %w", name, errs.ErrInvalid)
	}
	b, err := os.ReadFile(s.path("state", name))
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", name, notFound(err))
	}
	return b, nil
}

// PutState replaces the state file name atomically.
func (s *Store) PutState(name string, data []byte) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("write state %q: %w", name, errs.ErrInvalid)
	}
	err := s.replace(context.Background(), s.path("state", name), data)
	if err != nil {
		return fmt.Errorf("write state %s: %w", name, advise(err))
	}
	return nil
}

// replace writes a file whole or not at all; what a killed process leaves of it
// lies in tmp/.
func (s *Store) replace(ctx context.Context, path string, data []byte) error {
	tmp, err := s.temp(ctx)
	if err != nil {
		return err
	}
	err = atomicfile.Write(path, data, atomicfile.Options{TempDir: tmp, Perm: 0o600, Sync: s.options.Durable})
	if err == nil {
		err = s.sync() // also of directories that were made for it
	}
	return err
}

// DeleteState removes the state file name; there being none is no error.
func (s *Store) DeleteState(name string) error {
	if !filepath.IsLocal(name) {
		return fmt.Errorf("delete state %q: %w", name, errs.ErrInvalid)
	}
	if err := fault.Remove(s.path("state", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete state %s: %w", name, advise(err))
	}
	return nil
}
