//go:build linux

package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/layer"
)

// A Draft is a layer being made. Dir is an empty directory (0755, root) to
// fill; Work is for overlayfs's workdir, on the same filesystem.
// It is for one goroutine at a time.
type Draft struct {
	Dir, Work string

	store *Store
	base  string // what becomes the layer's directory; Work lies in it until then
	mu    sync.Mutex
	done  bool
}

// NewLayer starts a layer. The draft is gone when the process dies.
func (s *Store) NewLayer(ctx context.Context) (*Draft, error) {
	base, err := s.TempDir(ctx, "layer-")
	if err != nil {
		return nil, fmt.Errorf("new layer: %w", err)
	}
	// Without it ext4 searches past the inodes of drafts deleted a moment ago.
	_ = layer.Spread(base)
	d := &Draft{Dir: filepath.Join(base, "fs"), Work: filepath.Join(base, "work"), store: s, base: base}
	for _, dir := range []string{d.Dir, d.Work} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			_ = d.Discard()
			return nil, fmt.Errorf("new layer: %w", advise(err))
		}
	}
	if err := os.Chmod(d.Dir, 0o755); err != nil {
		_ = d.Discard()
		return nil, fmt.Errorf("new layer: %w", err)
	}
	return d, nil
}

// Commit publishes the draft's tree atomically. What was mounted over it must be
// closed. A draft is committed once; after an error it is to be discarded.
func (d *Draft) Commit(ctx context.Context) (Layer, error) { return d.commit(ctx, layerMeta{}) }

// CommitAs is Commit for callers that know already what layer.Diff makes of the
// tree: its digest and size.
func (d *Draft) CommitAs(ctx context.Context, diffID digest.Digest, size int64) (Layer, error) {
	return d.commit(ctx, layerMeta{DiffID: diffID, Size: size, Exact: true})
}

func (d *Draft) commit(ctx context.Context, m layerMeta) (Layer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done {
		return Layer{}, fmt.Errorf("commit layer: the draft is committed or discarded: %w", os.ErrClosed)
	}
	s := d.store
	m.Created, m.Usage = time.Now().UTC(), -1
	if err := d.finish(m); err != nil {
		return Layer{}, fmt.Errorf("commit layer: %w", advise(err))
	}
	id := LayerID(rand.Text())
	err := s.publish(ctx, []string{pinLayer(id)}, func() error {
		if err := s.rename(d.base, s.path("layers", string(id))); err != nil || m.DiffID == "" {
			return err
		}
		return s.index(ctx, m, id)
	})
	if err != nil {
		return Layer{}, fmt.Errorf("commit layer: %w", advise(err))
	}
	d.done = true
	if s.options.Committed != nil {
		s.options.Committed(id)
	}
	return m.layer(id, s.path("layers", string(id))), nil
}

// finish makes of base what is to be published.
func (d *Draft) finish(m layerMeta) error {
	if err := d.store.discard(d.Work); err != nil {
		return err
	}
	b, err := m.encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.base, "meta.json"), b, 0o600); err != nil {
		return err
	}
	return d.store.sync()
}

// Discard removes the draft. After Commit it does nothing.
func (d *Draft) Discard() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done {
		return nil
	}
	d.done = true
	if err := d.store.discard(d.base); err != nil {
		return fmt.Errorf("discard layer: %w", err)
	}
	return nil
}
