//go:build linux

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/layer"
)

// A LayerID names a layer tree in this store. It says nothing about content.
type LayerID string

// A Layer is one published, immutable layer tree in overlay form.
type Layer struct {
	ID      LayerID
	Dir     string        // the tree
	Created time.Time     // when it was published
	DiffID  digest.Digest // "" until somebody asked for it
	Size    int64         // bytes of the uncompressed tar; 0 while DiffID is ""
	Usage   int64         // bytes on disk, as du counts; -1 unknown
}

// layerMeta is what meta.json says. A layer directory without it is garbage.
type layerMeta struct {
	Created time.Time     `json:"created"`
	DiffID  digest.Digest `json:"diffID,omitempty"`
	Size    int64         `json:"size,omitempty"`
	Usage   int64         `json:"usage"`
	// Exact says that layer.Diff of the tree gives the bytes of DiffID. It need
	// not for a tree that was unpacked from a foreign tar.
	Exact bool `json:"exact,omitempty"`
	// Implied are directories the tar has no entry for, so that they should look
	// like those of the layers below.
	Implied []string `json:"implied,omitempty"`
	// On is the hash of the layers below, in a tree that was made to fit them.
	On string `json:"on,omitempty"`
}

// decodeMeta reads a meta.json and checks it.
func decodeMeta(b []byte) (layerMeta, error) {
	var m layerMeta
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("layer meta: %w: %w", errs.ErrInvalid, err)
	}
	if m.DiffID != "" {
		if err := m.DiffID.Validate(); err != nil {
			return m, fmt.Errorf("layer meta: diff id %q: %w: %w", m.DiffID, errs.ErrInvalid, err)
		}
	}
	if m.Size < 0 {
		return m, fmt.Errorf("layer meta: size %d: %w", m.Size, errs.ErrInvalid)
	}
	return m, nil
}

// Layer finds a layer by its id and pins it with this process's lease.
// errs.ErrNotFound if it is not there.
func (s *Store) Layer(ctx context.Context, id LayerID) (Layer, error) {
	var l Layer
	err := s.find(ctx, func() (pins []string, err error) {
		l, err = s.byID(id)
		return []string{pinLayer(id)}, err
	})
	if err != nil {
		return Layer{}, fmt.Errorf("layer %s: %w", id, err)
	}
	return l, nil
}

// LayerByDiffID finds a layer tree by diffID and pins it.
// errs.ErrNotFound if there is none.
func (s *Store) LayerByDiffID(ctx context.Context, diffID digest.Digest) (Layer, error) {
	var l Layer
	err := s.find(ctx, func() (pins []string, err error) {
		l, err = s.byDiffID(diffID)
		return []string{pinLayer(l.ID)}, err
	})
	if err != nil {
		return Layer{}, fmt.Errorf("layer with diff id %s: %w", diffID, err)
	}
	return l, nil
}

// Identify gives the layer with its DiffID and Size, computing and remembering them if need be.
func (s *Store) Identify(ctx context.Context, id LayerID) (Layer, error) {
	l, err := s.Layer(ctx, id)
	if err != nil || l.DiffID != "" {
		return l, err
	}
	unlock, err := s.Lock(ctx, "identify "+string(id))
	if err != nil {
		return Layer{}, fmt.Errorf("identify layer %s: %w", id, err)
	}
	defer unlock()
	if l, err = s.byID(id); err != nil || l.DiffID != "" {
		return l, err
	}
	diffID, size, err := layer.DiffDigest(ctx, l.Dir, layer.DiffOptions{})
	if err == nil {
		err = s.SetDiffID(ctx, id, diffID, size)
	}
	if err != nil {
		return Layer{}, fmt.Errorf("identify layer %s: %w", id, err)
	}
	return s.byID(id)
}

// SetDiffID remembers what a caller computed while it wrote the layer: the digest
// and size of what layer.Diff makes of the tree.
func (s *Store) SetDiffID(ctx context.Context, id LayerID, diffID digest.Digest, size int64) error {
	err := s.publish(ctx, []string{pinLayer(id)}, func() error {
		_, err := s.byID(id)
		return err
	})
	if err == nil {
		err = s.changeMeta(ctx, id, func(m *layerMeta) error {
			m.DiffID, m.Size, m.Exact = diffID, size, true
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("set diff id of layer %s: %w", id, advise(err))
	}
	return nil
}

func (m layerMeta) encode() ([]byte, error) {
	b, err := json.Marshal(m)
	if err == nil {
		_, err = decodeMeta(b)
	}
	return b, err
}

// index makes the diffID of m lead to the layer id. It goes on leading to another
// layer that is there, unless only the new one gives back the bytes of the tar.
// The caller holds gc.lock.
func (s *Store) index(ctx context.Context, m layerMeta, id LayerID) error {
	if old, err := s.lookUp(m.DiffID, m.On); err == nil && (old.Exact || !m.Exact) {
		return nil
	}
	return s.replace(ctx, s.diffIDPath(m.DiffID, m.On), []byte(id))
}

// diffIDPath is the index's entry for a diffID, or for the tree of it that was
// made to fit other layers.
func (s *Store) diffIDPath(d digest.Digest, on string) string {
	name := d.Encoded()
	if on != "" {
		name += "." + on
	}
	return s.path("diffids", string(d.Algorithm()), name)
}

// An indexed layer is what the index has for a diffID.
type indexed struct {
	layerMeta
	ID  LayerID
	dir string
}

func (x indexed) layer() Layer { return x.layerMeta.layer(x.ID, x.dir) }

// lookUp asks the index. It is a hint: the layer's own meta has the last word.
func (s *Store) lookUp(diffID digest.Digest, on string) (indexed, error) {
	if err := diffID.Validate(); err != nil {
		return indexed{}, fmt.Errorf("diff id %q: %w: %w", diffID, errs.ErrInvalid, err)
	}
	id, err := os.ReadFile(s.diffIDPath(diffID, on))
	if err != nil {
		return indexed{}, notFound(err)
	}
	dir, err := s.layerDir(LayerID(id))
	if err != nil { // damaged by power loss
		return indexed{}, errs.ErrNotFound
	}
	m, err := readMeta(dir)
	if err == nil && (m.DiffID != diffID || m.On != on) {
		err = errs.ErrNotFound
	}
	return indexed{m, LayerID(id), dir}, err
}

// byDiffID looks the layer up without pinning it.
func (s *Store) byDiffID(diffID digest.Digest) (Layer, error) {
	x, err := s.lookUp(diffID, "")
	if err != nil {
		return Layer{}, err
	}
	return x.layer(), nil
}

// byID looks the layer up without pinning it.
func (s *Store) byID(id LayerID) (Layer, error) {
	dir, err := s.layerDir(id)
	if err != nil {
		return Layer{}, err
	}
	m, err := readMeta(dir)
	if err != nil {
		return Layer{}, err
	}
	return m.layer(id, dir), nil
}

func (m layerMeta) layer(id LayerID, dir string) Layer {
	return Layer{ID: id, Dir: filepath.Join(dir, "fs"), Created: m.Created, DiffID: m.DiffID, Size: m.Size, Usage: m.Usage}
}

func (s *Store) layerDir(id LayerID) (string, error) {
	if !isName(string(id)) {
		return "", fmt.Errorf("layer id %q: %w", id, errs.ErrInvalid)
	}
	return s.path("layers", string(id)), nil
}

// readMeta reads the meta.json of a layer directory. A damaged one, as power loss
// may leave it, is errs.ErrNotFound like a missing one.
func readMeta(dir string) (layerMeta, error) {
	b, err := os.ReadFile(filepath.Join(dir, "meta.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return layerMeta{}, errs.ErrNotFound
	}
	if err != nil {
		return layerMeta{}, err
	}
	m, err := decodeMeta(b)
	if err != nil {
		return m, fmt.Errorf("%w: %w", errs.ErrNotFound, err)
	}
	return m, nil
}

// isName says whether s is safe as the name of a file: letters, digits, - and _.
func isName(s string) bool {
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 200
}
