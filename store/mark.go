//go:build linux

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// A marker finds what is reachable: from names, live leases and records, through
// indexes, manifests and configs, to blobs and layer trees. Whoever uses it holds
// gc.lock exclusively, or accepts that the answer is of a moment.
type marker struct {
	store  *Store
	blobs  map[digest.Digest]bool
	layers map[LayerID]bool
	trees  map[digest.Digest][]indexed // all layers with a diffID
	lost   []indexed                   // marked, but not in the index
	todo   []image.Descriptor
}

// A document is what a manifest, an index or a config may refer to.
type document struct {
	Config    *image.Descriptor  `json:"config"`
	Layers    []image.Descriptor `json:"layers"`
	Manifests []image.Descriptor `json:"manifests"`
	Blobs     []image.Descriptor `json:"blobs"`
	RootFS    struct {
		DiffIDs []digest.Digest `json:"diff_ids"`
	} `json:"rootfs"`
}

func (s *Store) newMarker() (*marker, error) {
	all, err := s.allLayers()
	if err != nil {
		return nil, err
	}
	m := &marker{store: s, blobs: map[digest.Digest]bool{}, layers: map[LayerID]bool{}, trees: map[digest.Digest][]indexed{}}
	for _, x := range all {
		if x.DiffID != "" {
			m.trees[x.DiffID] = append(m.trees[x.DiffID], x)
		}
	}
	return m, nil
}

// pins marks the lines of leases.
func (m *marker) pins(lines []string) error {
	for _, line := range lines {
		kind, value, _ := strings.Cut(line, " ")
		switch kind {
		case "b":
			// A pin has no media type: the content says what it is.
			m.todo = append(m.todo, image.Descriptor{Digest: digest.Digest(value)})
		case "l":
			m.layers[LayerID(value)] = true
		}
	}
	return m.work()
}

func (m *marker) names(names []Name) error {
	for _, n := range names {
		m.todo = append(m.todo, n.Target)
	}
	return m.work()
}

func (m *marker) records(records []*Record) {
	for _, r := range records {
		for _, stack := range r.Outputs {
			for _, id := range stack {
				m.layers[id] = true
			}
		}
	}
}

func (m *marker) work() error {
	for len(m.todo) > 0 {
		d := m.todo[len(m.todo)-1]
		m.todo = m.todo[:len(m.todo)-1]
		if m.blobs[d.Digest] || d.Digest.Validate() != nil {
			continue
		}
		m.blobs[d.Digest] = true
		if err := m.visit(d); err != nil {
			return fmt.Errorf("mark %s: %w", d.Digest, err)
		}
	}
	return nil
}

func (m *marker) visit(d image.Descriptor) error {
	if err := m.tree(d.Digest); err != nil {
		return err
	}
	if image.IsLayer(d.MediaType) {
		return nil
	}
	doc, err := m.store.readDocument(d.Digest)
	if err != nil {
		return err
	}
	if doc.Config != nil {
		m.todo = append(m.todo, *doc.Config)
	}
	for _, list := range [][]image.Descriptor{doc.Layers, doc.Manifests, doc.Blobs} {
		m.todo = append(m.todo, list...)
	}
	for _, diffID := range doc.RootFS.DiffIDs {
		// The blob too: it may be kept uncompressed.
		m.blobs[diffID] = true
		if diffID.Validate() != nil {
			continue
		}
		if err := m.tree(diffID); err != nil {
			return err
		}
	}
	return nil
}

// tree marks the layer trees that stand for this diffID: the one the index names
// (or, should it have lost it, the best there is) and those made to fit others.
func (m *marker) tree(diffID digest.Digest) error {
	candidates := m.trees[diffID]
	if len(candidates) == 0 {
		return nil
	}
	delete(m.trees, diffID)
	best := -1
	for i, x := range candidates {
		if x.On != "" {
			m.layers[x.ID] = true
		} else if best < 0 || x.Exact && !candidates[best].Exact {
			best = i
		}
	}
	x, err := m.store.lookUp(diffID, "")
	if err == nil {
		m.layers[x.ID] = true
		return nil
	}
	if !errors.Is(err, errs.ErrNotFound) {
		return err
	}
	if best >= 0 {
		m.layers[candidates[best].ID] = true
		m.lost = append(m.lost, candidates[best])
	}
	return nil
}

// readDocument reads a blob that may refer to others. One that is missing, is too
// large or is no JSON object of that form refers to nothing. Any other error
// stops the collection: nothing is removed on a guess.
func (s *Store) readDocument(d digest.Digest) (document, error) {
	var doc document
	p, err := s.blobPath(d)
	if err != nil {
		return doc, nil
	}
	f, err := os.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		return doc, nil
	}
	if err != nil {
		return doc, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return doc, err
	}
	first := make([]byte, 1)
	if n, _ := f.ReadAt(first, 0); n == 0 || first[0] != '{' && !isSpace(first[0]) || st.Size() > image.MaxMetadata {
		return doc, nil
	}
	b := make([]byte, st.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		return doc, err
	}
	if json.Unmarshal(b, &doc) != nil {
		return document{}, nil
	}
	return doc, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
