// Package memory keeps blobs and names in memory: for tests, and for content
// that is made up on the spot. A Store is safe for concurrent use.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

var _ content.Store = (*Store)(nil)

// Store is an empty store when zero.
type Store struct {
	mu    sync.RWMutex
	blobs map[digest.Digest][]byte
	names map[string]image.Descriptor
}

// New makes an empty store.
func New() *Store { return &Store{} }

// Add stores data and describes it.
func (s *Store) Add(mediaType string, data []byte) image.Descriptor {
	d := image.NewDescriptor(mediaType, data)
	s.put(d.Digest, data)
	return d
}

// Fetch opens a blob.
func (s *Store) Fetch(_ context.Context, d image.Descriptor) (io.ReadCloser, error) {
	s.mu.RLock()
	data, ok := s.blobs[d.Digest]
	s.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, errs.ErrNotFound)
	}
	return content.Verify(io.NopCloser(bytes.NewReader(data)), d), nil
}

// Exists says whether the blob is there.
func (s *Store) Exists(_ context.Context, d image.Descriptor) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.blobs[d.Digest]
	return ok, nil
}

// Push stores a blob.
func (s *Store) Push(_ context.Context, d image.Descriptor, r io.Reader) error {
	data, err := io.ReadAll(content.Verified(r, d))
	if err != nil {
		return fmt.Errorf("push %s: %w", d.Digest, err)
	}
	s.put(d.Digest, data)
	return nil
}

// Resolve gives what Tag stored under name.
func (s *Store) Resolve(_ context.Context, name string) (image.Descriptor, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	d, ok := s.names[name]
	if !ok {
		return d, fmt.Errorf("name %s: %w", name, errs.ErrNotFound)
	}
	return d, nil
}

// Tag makes name stand for d.
func (s *Store) Tag(_ context.Context, name string, d image.Descriptor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.blobs[d.Digest]; !ok {
		return fmt.Errorf("tag %s: blob %s: %w", name, d.Digest, errs.ErrNotFound)
	}
	if s.names == nil {
		s.names = map[string]image.Descriptor{}
	}
	s.names[name] = d
	return nil
}

func (s *Store) put(d digest.Digest, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blobs == nil {
		s.blobs = map[digest.Digest][]byte{}
	}
	s.blobs[d] = data
}
