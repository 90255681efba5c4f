package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

var _ Backend = (*Memory)(nil)

// Memory is a Backend in memory.
type Memory struct {
	mu    sync.RWMutex
	repos map[string]*memoryRepo
}

type memoryRepo struct {
	blobs     map[digest.Digest][]byte
	uploads   map[string]*memoryUpload
	manifests map[digest.Digest]Manifest
	tags      map[string]digest.Digest
}

type memoryUpload struct {
	data []byte
	busy bool
}

// NewMemory makes an empty one.
func NewMemory() *Memory { return &Memory{repos: map[string]*memoryRepo{}} }

// repo finds a repository; it makes it if create says so.
func (m *Memory) repo(name string, create bool) (*memoryRepo, error) {
	r, ok := m.repos[name]
	if !ok && !create {
		return nil, fmt.Errorf("repository %s: %w", name, errs.ErrNotFound)
	}
	if !ok {
		r = &memoryRepo{
			blobs: map[digest.Digest][]byte{}, uploads: map[string]*memoryUpload{},
			manifests: map[digest.Digest]Manifest{}, tags: map[string]digest.Digest{},
		}
		m.repos[name] = r
	}
	return r, nil
}

// find looks key up in the part of a repository that of picks.
func find[K comparable, V any](m *Memory, repo string, of func(*memoryRepo) map[K]V, key K) (V, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, err := m.repo(repo, false)
	if err != nil {
		var none V
		return none, err
	}
	v, ok := of(r)[key]
	if !ok {
		return v, fmt.Errorf("%v in %s: %w", key, repo, errs.ErrNotFound)
	}
	return v, nil
}

// remove deletes key from the part of a repository that of picks.
func remove[K comparable, V any](m *Memory, repo string, of func(*memoryRepo) map[K]V, key K) error {
	if _, err := find(m, repo, of, key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(of(m.repos[repo]), key)
	return nil
}

func blobsOf(r *memoryRepo) map[digest.Digest][]byte       { return r.blobs }
func uploadsOf(r *memoryRepo) map[string]*memoryUpload     { return r.uploads }
func manifestsOf(r *memoryRepo) map[digest.Digest]Manifest { return r.manifests }
func tagsOf(r *memoryRepo) map[string]digest.Digest        { return r.tags }

type memoryBlob struct{ *bytes.Reader }

// Close does nothing.
func (memoryBlob) Close() error { return nil }

// Blob opens a blob.
func (m *Memory) Blob(_ context.Context, repo string, d digest.Digest) (io.ReadSeekCloser, error) {
	data, err := find(m, repo, blobsOf, d)
	if err != nil {
		return nil, err
	}
	return memoryBlob{bytes.NewReader(data)}, nil
}

// StatBlob gives a blob's size.
func (m *Memory) StatBlob(_ context.Context, repo string, d digest.Digest) (int64, error) {
	data, err := find(m, repo, blobsOf, d)
	return int64(len(data)), err
}

// MountBlob gives repo a blob of from.
func (m *Memory) MountBlob(_ context.Context, repo, from string, d digest.Digest) error {
	data, err := find(m, from, blobsOf, d)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.repo(repo, true)
	if err == nil {
		r.blobs[d] = data
	}
	return err
}

// DeleteBlob removes a blob from repo.
func (m *Memory) DeleteBlob(_ context.Context, repo string, d digest.Digest) error {
	return remove(m, repo, blobsOf, d)
}

// StartUpload begins an upload.
func (m *Memory) StartUpload(_ context.Context, repo string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.repo(repo, true)
	if err != nil {
		return "", err
	}
	id := rand.Text()
	r.uploads[id] = &memoryUpload{}
	return id, nil
}

// Upload gives an upload's size.
func (m *Memory) Upload(_ context.Context, repo, id string) (int64, error) {
	u, err := find(m, repo, uploadsOf, id)
	if err != nil {
		return 0, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return int64(len(u.data)), nil
}

// WriteUpload appends to an upload.
func (m *Memory) WriteUpload(_ context.Context, repo, id string, offset int64, r io.Reader) (int64, error) {
	u, err := find(m, repo, uploadsOf, id)
	if err != nil {
		return 0, err
	}
	m.mu.Lock()
	have := int64(len(u.data))
	if u.busy || have != offset {
		m.mu.Unlock()
		return have, fmt.Errorf("upload %s stands at %d, not %d: %w", id, have, offset, errs.ErrConflict)
	}
	u.busy = true
	m.mu.Unlock()

	data, err := io.ReadAll(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	u.busy = false
	u.data = append(u.data, data...)
	return int64(len(u.data)), err
}

// FinishUpload makes an upload a blob.
func (m *Memory) FinishUpload(_ context.Context, repo, id string, d digest.Digest) error {
	u, err := find(m, repo, uploadsOf, id)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.repos[repo].uploads, id)
	if d.Algorithm().FromBytes(u.data) != d {
		return fmt.Errorf("upload %s: %w", id, errs.ErrDigest)
	}
	m.repos[repo].blobs[d] = u.data
	return nil
}

// CancelUpload forgets an upload.
func (m *Memory) CancelUpload(_ context.Context, repo, id string) error {
	return remove(m, repo, uploadsOf, id)
}

// Manifest reads a manifest.
func (m *Memory) Manifest(_ context.Context, repo string, d digest.Digest) (Manifest, error) {
	return find(m, repo, manifestsOf, d)
}

// PutManifest stores a manifest.
func (m *Memory) PutManifest(_ context.Context, repo string, d digest.Digest, mf Manifest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.repo(repo, true)
	if err == nil {
		r.manifests[d] = mf
	}
	return err
}

// DeleteManifest removes a manifest and its tags.
func (m *Memory) DeleteManifest(_ context.Context, repo string, d digest.Digest) error {
	if err := remove(m, repo, manifestsOf, d); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.repos[repo].tags, func(_ string, t digest.Digest) bool { return t == d })
	return nil
}

// Tag reads a tag.
func (m *Memory) Tag(_ context.Context, repo, tag string) (digest.Digest, error) {
	return find(m, repo, tagsOf, tag)
}

// PutTag sets a tag.
func (m *Memory) PutTag(_ context.Context, repo, tag string, d digest.Digest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.repo(repo, true)
	if err == nil {
		r.tags[tag] = d
	}
	return err
}

// DeleteTag removes a tag.
func (m *Memory) DeleteTag(_ context.Context, repo, tag string) error {
	return remove(m, repo, tagsOf, tag)
}

// Tags lists tags.
func (m *Memory) Tags(_ context.Context, repo, last string, n int) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, err := m.repo(repo, false)
	if err != nil {
		return nil, err
	}
	return after(slices.Sorted(maps.Keys(r.tags)), last, n), nil
}

// Referrers lists what refers to d.
func (m *Memory) Referrers(_ context.Context, repo string, d digest.Digest) ([]image.Descriptor, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, err := m.repo(repo, false)
	if err != nil {
		return nil, err
	}
	var out []image.Descriptor
	for _, k := range slices.Sorted(maps.Keys(r.manifests)) {
		if mf := r.manifests[k]; mf.Subject == d {
			out = append(out, mf.Referrer)
		}
	}
	return out, nil
}

// Repositories lists repositories that have a manifest.
func (m *Memory) Repositories(_ context.Context, last string, n int) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var names []string
	for name, r := range m.repos {
		if len(r.manifests) > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return after(names, last, n), nil
}

// after is the part of a sorted list that comes after last, n entries at most.
func after(sorted []string, last string, n int) []string {
	i, found := slices.BinarySearch(sorted, last)
	if found {
		i++
	}
	sorted = sorted[i:]
	if n >= 0 && len(sorted) > n {
		sorted = sorted[:n]
	}
	return sorted
}
