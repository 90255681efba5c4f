//go:build linux

package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"sync"

	"github.com/mica-build/mica/internal/lockfile"
)

// Lock takes the lock called name among all processes (and goroutines) of this
// store and waits for it until ctx ends. unlock may be called twice.
func (s *Store) Lock(ctx context.Context, name string) (unlock func(), err error) {
	h := sha256.Sum256([]byte(name))
	l, err := lockfile.At(ctx, s.path("locks", "names"), int64(binary.BigEndian.Uint64(h[:8])>>1))
	if err != nil {
		return nil, fmt.Errorf("lock %q: %w", name, advise(err))
	}
	return sync.OnceFunc(func() { _ = l.Release() }), nil
}

// TempDir makes a directory that is removed when this process is gone.
func (s *Store) TempDir(ctx context.Context, pattern string) (string, error) {
	tmp, err := s.temp(ctx)
	if err != nil {
		return "", fmt.Errorf("make temporary directory: %w", err)
	}
	dir, err := os.MkdirTemp(tmp, pattern)
	if err != nil {
		return "", fmt.Errorf("make temporary directory: %w", advise(err))
	}
	return dir, nil
}

// hashName makes a file name of any string.
func hashName(name string) string {
	h := sha256.Sum256([]byte(name))
	return hex.EncodeToString(h[:16])
}
