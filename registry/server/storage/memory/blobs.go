package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

var _ storage.Blobs = (*blobs)(nil)

type blobs struct {
	mu      sync.RWMutex
	have    map[digest.Digest]stored
	bad     map[digest.Digest]stored
	uploads map[string]*upload // by repository and id
}

type stored struct {
	data []byte
	at   time.Time
}

type upload struct {
	data  []byte
	busy  bool
	wrote time.Time
}

func newBlobs() *blobs {
	return &blobs{have: map[digest.Digest]stored{}, bad: map[digest.Digest]stored{}, uploads: map[string]*upload{}}
}

type blob struct{ *bytes.Reader }

// Close does nothing.
func (blob) Close() error { return nil }

func (b *blobs) find(d digest.Digest) (stored, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s, ok := b.have[d]
	if !ok {
		return s, fmt.Errorf("blob %s: %w", d, errs.ErrNotFound)
	}
	return s, nil
}

// Open opens a blob.
func (b *blobs) Open(_ context.Context, d digest.Digest) (io.ReadSeekCloser, error) {
	s, err := b.find(d)
	if err != nil {
		return nil, err
	}
	return blob{bytes.NewReader(s.data)}, nil
}

// Stat gives a blob's size.
func (b *blobs) Stat(_ context.Context, d digest.Digest) (int64, error) {
	s, err := b.find(d)
	return int64(len(s.data)), err
}

// Start begins an upload.
func (b *blobs) Start(_ context.Context, repo string, _ digest.Algorithm) (string, error) {
	id := rand.Text()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.uploads[repo+":"+id] = &upload{wrote: time.Now()}
	return id, nil
}

// upload finds an upload; b.mu is held.
func (b *blobs) upload(repo, id string) (*upload, error) {
	u := b.uploads[repo+":"+id]
	if u == nil {
		return nil, fmt.Errorf("upload %s: %w", id, errs.ErrNotFound)
	}
	return u, nil
}

// claim finds an upload that nobody writes to.
func (b *blobs) claim(repo, id string) (*upload, error) {
	u, err := b.upload(repo, id)
	if err == nil && u.busy {
		err = fmt.Errorf("upload %s: in use: %w", id, errs.ErrConflict)
	}
	return u, err
}

// Upload gives an upload's size.
func (b *blobs) Upload(_ context.Context, repo, id string) (int64, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	u, err := b.upload(repo, id)
	if err != nil {
		return 0, err
	}
	return int64(len(u.data)), nil
}

// Write appends to an upload.
func (b *blobs) Write(_ context.Context, repo, id string, offset int64, r io.Reader) (int64, error) {
	u, have, err := b.begin(repo, id, offset)
	if err != nil {
		return have, err
	}
	data, rerr := io.ReadAll(r)
	b.mu.Lock()
	defer b.mu.Unlock()
	u.busy, u.wrote = false, time.Now()
	u.data = append(u.data, data...)
	return int64(len(u.data)), rerr
}

func (b *blobs) begin(repo, id string, offset int64) (*upload, int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, err := b.claim(repo, id)
	if err != nil {
		return nil, 0, err
	}
	have := int64(len(u.data))
	if have != offset {
		return nil, have, fmt.Errorf("upload stands at %d, not %d: %w", have, offset, errs.ErrInvalid)
	}
	u.busy = true
	return u, have, nil
}

// Finish verifies an upload.
func (b *blobs) Finish(_ context.Context, repo, id string, d digest.Digest) (storage.Finished, error) {
	b.mu.Lock()
	u, err := b.claim(repo, id)
	if err == nil {
		delete(b.uploads, repo+":"+id)
	}
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if d.Algorithm().FromBytes(u.data) != d {
		return nil, fmt.Errorf("upload %s: %w", id, errs.ErrDigest)
	}
	return &finished{b, d, u.data}, nil
}

type finished struct {
	b    *blobs
	d    digest.Digest
	data []byte
}

// Size is the blob's size.
func (f *finished) Size() int64 { return int64(len(f.data)) }

// Publish makes it a blob.
func (f *finished) Publish() error {
	f.b.mu.Lock()
	defer f.b.mu.Unlock()
	f.b.have[f.d] = stored{f.data, time.Now()}
	return nil
}

// Discard forgets it.
func (f *finished) Discard() {}

// Cancel forgets an upload.
func (b *blobs) Cancel(_ context.Context, repo, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, err := b.claim(repo, id)
	if err == nil {
		delete(b.uploads, repo+":"+id)
	}
	return err
}

// Each lists blobs.
func (b *blobs) Each(ctx context.Context, f func(storage.Stored) error) error {
	b.mu.RLock()
	all := maps.Clone(b.have)
	b.mu.RUnlock()
	for d, s := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(storage.Stored{Digest: d, Size: int64(len(s.data)), Modified: s.at}); err != nil {
			return err
		}
	}
	return nil
}

// Remove deletes a blob.
func (b *blobs) Remove(_ context.Context, d digest.Digest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.have, d)
	return nil
}

// Quarantine takes a blob away.
func (b *blobs) Quarantine(_ context.Context, d digest.Digest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s, ok := b.have[d]; ok {
		b.bad[d] = s
		delete(b.have, d)
	}
	return nil
}

// Expire forgets uploads.
func (b *blobs) Expire(_ context.Context, before time.Time, dry bool) (storage.Expired, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var e storage.Expired
	for key, u := range b.uploads {
		if u.busy || !u.wrote.Before(before) {
			continue
		}
		e.Uploads++
		e.Bytes += int64(len(u.data))
		if !dry {
			delete(b.uploads, key)
		}
	}
	return e, nil
}
