//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/fault"
)

// Hold keeps the blobs, and what they refer to, from being collected until Release, also
// after this process has ended. name is a file name; a hold of that name is replaced.
// What is held has to be there, or pinned, when Hold is called.
func (s *Store) Hold(ctx context.Context, name string, blobs ...digest.Digest) error {
	if name == "" || name != filepath.Base(name) || name[0] == '.' {
		return fmt.Errorf("hold %q: %w", name, errs.ErrInvalid)
	}
	var b strings.Builder
	for _, d := range blobs {
		b.WriteString(pinBlob(d) + "\n")
	}
	err := s.publish(ctx, nil, func() error { return s.replace(ctx, s.path("holds", name), []byte(b.String())) })
	if err != nil {
		return fmt.Errorf("hold %s: %w", name, advise(err))
	}
	return nil
}

// Release ends a hold; there being none is no error.
func (s *Store) Release(name string) error {
	if name == "" || name != filepath.Base(name) {
		return fmt.Errorf("release %q: %w", name, errs.ErrInvalid)
	}
	if err := fault.Remove(s.path("holds", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release %s: %w", name, advise(err))
	}
	return nil
}

// holds gives the pins of all holds.
func (s *Store) holds() ([]string, error) {
	entries, err := os.ReadDir(s.path("holds"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var pins []string
	for _, e := range entries {
		b, err := os.ReadFile(s.path("holds", e.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		pins = append(pins, strings.Split(string(b), "\n")...)
	}
	return pins, nil
}

// Discard removes the file or directory at path, which lies in a folder of the store's
// root that is the caller's: it is gone at once, its bytes are freed in the background.
func (s *Store) Discard(path string) error {
	rel, err := filepath.Rel(s.root, path)
	if err != nil || !filepath.IsLocal(rel) || !strings.Contains(rel, "/") {
		return fmt.Errorf("discard %s: %w", path, errs.ErrInvalid)
	}
	if err := s.discard(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("discard %s: %w", path, advise(err))
	}
	return nil
}
