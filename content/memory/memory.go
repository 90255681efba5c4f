package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// A Store is a content.Store in memory. The zero value is empty and ready; it is
// safe for concurrent use and must not be copied.
type Store struct {
	mu    sync.RWMutex
	blobs map[digest.Digest][]byte
	names map[string]image.Descriptor
}

var _ content.Store = (*Store)(nil)

// New gives an empty Store.
func New() *Store { return &Store{} }

// Fetch opens a blob.
func (s *Store) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := image.CheckDescriptor(d); err != nil {
		return nil, fmt.Errorf("fetch blob: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	b, ok := s.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("fetch blob %s: %w", d.Digest, errs.ErrNotFound)
	}
	return content.Verify(io.NopCloser(bytes.NewReader(b)), d), nil
}

// Exists says whether the blob is there.
func (s *Store) Exists(ctx context.Context, d image.Descriptor) (bool, error) {
	if err := image.CheckDescriptor(d); err != nil {
		return false, fmt.Errorf("look for blob: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.blobs[d.Digest]
	return ok, ctx.Err()
}

// Push keeps the bytes of r.
func (s *Store) Push(ctx context.Context, d image.Descriptor, r io.Reader) error {
	if ok, err := s.Exists(ctx, d); ok || err != nil {
		return err
	}
	b, err := io.ReadAll(content.Verify(io.NopCloser(r), d))
	if err != nil {
		return fmt.Errorf("store blob %s: %w", d.Digest, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs == nil {
		s.blobs = map[digest.Digest][]byte{}
	}
	s.blobs[d.Digest] = b
	return ctx.Err()
}

// Resolve gives what a name stands for.
func (s *Store) Resolve(ctx context.Context, name string) (image.Descriptor, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.names[name]
	if !ok {
		return d, fmt.Errorf("resolve %s: %w", name, errs.ErrNotFound)
	}
	return d, ctx.Err()
}

// Tag makes name stand for d, which must be there.
func (s *Store) Tag(ctx context.Context, name string, d image.Descriptor) error {
	ok, err := s.Exists(ctx, d)
	if err == nil && !ok {
		err = errs.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("tag %s as %s: %w", d.Digest, name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[string]image.Descriptor{}
	}
	s.names[name] = d
	return nil
}

// Names lists the names in order.
func (s *Store) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.names))
}
