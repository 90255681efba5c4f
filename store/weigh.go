//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/lockfile"
)

// Layers lists all layers and pins none: for looking at them, not for use. Usage
// is known of each; it is of the layer's whole directory, measured once and then
// remembered.
func (s *Store) Layers(ctx context.Context) ([]Layer, error) {
	all, err := s.allLayers()
	if err != nil {
		return nil, fmt.Errorf("list layers: %w", err)
	}
	out := make([]Layer, 0, len(all))
	for _, x := range all {
		l := x.layer()
		if l.Usage < 0 {
			if l.Usage, err = s.weigh(ctx, x.ID, x.dir); err != nil {
				return nil, fmt.Errorf("measure layer %s: %w", x.ID, err)
			}
		}
		out = append(out, l)
	}
	return out, nil
}

// Weigh is what the layer id takes on disk, as Layers says; 0 if it is gone.
func (s *Store) Weigh(ctx context.Context, id LayerID) (int64, error) {
	l, err := s.byID(id)
	if errors.Is(err, errs.ErrNotFound) {
		return 0, nil
	}
	if err == nil && l.Usage < 0 {
		l.Usage, err = s.weigh(ctx, id, filepath.Dir(l.Dir))
	}
	if err != nil {
		return 0, fmt.Errorf("measure layer %s: %w", id, err)
	}
	return l.Usage, nil
}

// CountLayers is how many layers there are.
func (s *Store) CountLayers() (int, error) {
	entries, err := os.ReadDir(s.path("layers"))
	return len(entries), err
}

// weigh measures a layer and remembers the result, if that is possible.
func (s *Store) weigh(ctx context.Context, id LayerID, dir string) (int64, error) {
	m := meter{ctx: ctx}
	n, err := m.measure(dir)
	if err != nil {
		return 0, err
	}
	err = s.changeMeta(ctx, id, func(m *layerMeta) error {
		m.Usage = n
		return nil
	})
	switch {
	case err == nil, errors.Is(err, errs.ErrNotFound), errors.Is(err, unix.EROFS), errors.Is(err, unix.ENOSPC):
		return n, nil
	}
	return n, err
}

// changeMeta changes the meta.json of a layer, and puts a diffID that it has then
// into the index. Nothing is pinned.
func (s *Store) changeMeta(ctx context.Context, id LayerID, change func(*layerMeta) error) error {
	unlock, err := s.Lock(ctx, "meta "+string(id))
	if err != nil {
		return err
	}
	defer unlock()
	return s.publish(ctx, nil, func() error {
		dir, err := s.layerDir(id)
		if err != nil {
			return err
		}
		m, err := readMeta(dir)
		if err != nil {
			return err
		}
		known := m.DiffID
		if err := change(&m); err != nil {
			return err
		}
		b, err := m.encode()
		if err != nil {
			return err
		}
		if err := s.replace(ctx, filepath.Join(dir, "meta.json"), b); err != nil || m.DiffID == known {
			return err
		}
		return s.index(ctx, m, id)
	})
}

// BlobUsage is how many bytes on disk the blob d takes, 0 if it is not there.
func (s *Store) BlobUsage(d digest.Digest) int64 {
	p, err := s.blobPath(d)
	if err != nil {
		return 0
	}
	var st unix.Stat_t
	if unix.Lstat(p, &st) != nil {
		return 0
	}
	return st.Blocks * 512
}

// Pinned gives the layers that live leases pin directly: those that a running
// mica made or found. It is the answer of a moment.
func (s *Store) Pinned(ctx context.Context) (map[LayerID]bool, error) {
	gc, err := s.collector(ctx, lockfile.Exclusive)
	if err != nil {
		return nil, fmt.Errorf("list pins: %w", err)
	}
	defer gc.Release()
	pins, _, err := s.leases()
	if err != nil {
		return nil, fmt.Errorf("list pins: %w", err)
	}
	set := map[LayerID]bool{}
	for _, line := range pins {
		if id, ok := strings.CutPrefix(line, "l "); ok {
			set[LayerID(id)] = true
		}
	}
	return set, nil
}
