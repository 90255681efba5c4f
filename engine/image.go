package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/store"
)

// An Image is one image in the store with all its names.
type Image struct {
	// ID is the digest of the config; where the manifest or the config is not
	// in the store, the digest of the target.
	ID digest.Digest
	// Targets are the manifests and indexes that names point at: several when
	// the same image was pushed, say, and has a compressed manifest too.
	Targets  []image.Descriptor
	Manifest image.Descriptor   // of the shown platform; zero when it is not in the store
	Layers   []image.Descriptor // of Manifest, bottom first
	Config   image.Config
	Names    []string  // "docker.io/library/app:latest", in the order of their short forms
	Digests  []string  // "docker.io/library/app@sha256:…", likewise
	Created  time.Time // zero when the config does not say
	Tagged   time.Time // when a name was last pointed at it
	Size     int64     // bytes of the layers, uncompressed where that is known

	byName map[string]image.Descriptor // the target of each of Names and Digests
}

// Dangling says that the image has no name at all.
func (m Image) Dangling() bool { return len(m.Names) == 0 && len(m.Digests) == 0 }

// Complete says that manifest and config of the shown platform are in the store.
func (m Image) Complete() bool { return m.Manifest.Digest != "" && m.Config.OS != "" }

// Images lists the images that f lets through, newest first.
func (e *Engine) Images(ctx context.Context, f Filter) ([]Image, error) {
	all, err := e.images(ctx, e.platform)
	if err != nil {
		return nil, err
	}
	return f.apply(ctx, e, all)
}

// images lists everything that a name keeps, as platform want shows it.
func (e *Engine) images(ctx context.Context, want image.Platform) ([]Image, error) {
	names, err := e.store.Names(ctx)
	if err != nil {
		return nil, err
	}
	// Entries without a name come first; what a name stands for is to be shown.
	if i := slices.IndexFunc(names, func(n store.Name) bool { return n.Ref != "" }); i > 0 {
		names = slices.Concat(names[i:], names[:i])
	}
	byID := map[digest.Digest]*Image{}
	byTarget := map[digest.Digest]*Image{}
	var order []*Image
	for _, n := range names {
		m := byTarget[n.Target.Digest]
		if m == nil {
			loaded, err := e.load(ctx, n.Target, want)
			if err != nil {
				return nil, err
			}
			if m = byID[loaded.ID]; m == nil {
				m = &loaded
				byID[m.ID] = m
				order = append(order, m)
			} else {
				m.Targets = append(m.Targets, n.Target)
			}
			byTarget[n.Target.Digest] = m
		}
		m.addName(n)
	}
	out := make([]Image, len(order))
	for i, m := range order {
		slices.SortFunc(m.Names, byFamiliar)
		slices.SortFunc(m.Digests, byFamiliar)
		out[i] = *m
	}
	slices.SortFunc(out, newestFirst)
	return out, nil
}

// target is what the name key of m points at; key "" is any.
func (m Image) target(key string) image.Descriptor {
	if d, ok := m.byName[key]; ok {
		return d
	}
	return m.Targets[0]
}

func (m *Image) addName(n store.Name) {
	if m.byName == nil {
		m.byName = map[string]image.Descriptor{}
	}
	m.byName[n.Ref] = n.Target
	switch {
	case strings.Contains(n.Ref, "@"):
		m.Digests = append(m.Digests, n.Ref)
	case n.Ref != "":
		m.Names = append(m.Names, n.Ref)
	}
	if n.Updated.After(m.Tagged) {
		m.Tagged = n.Updated
	}
}

// byFamiliar orders references as people read them.
func byFamiliar(a, b string) int { return strings.Compare(Familiar(a), Familiar(b)) }

func newestFirst(a, b Image) int {
	if c := b.Created.Compare(a.Created); c != 0 {
		return c
	}
	if c := slices.Compare(a.Names, b.Names); c != 0 {
		return c
	}
	return strings.Compare(string(a.ID), string(b.ID))
}

// load reads what the store has of the image at target. What is not there, or
// broken, is left zero, so that one bad image does not hide the others.
func (e *Engine) load(ctx context.Context, target image.Descriptor, want image.Platform) (Image, error) {
	m := Image{ID: target.Digest, Targets: []image.Descriptor{target}}
	mf, d, err := e.manifest(ctx, target, want)
	if unreadable(err) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	m.Manifest, m.Layers, m.ID = d, mf.Layers, mf.Config.Digest
	raw, err := e.view.ReadBlob(ctx, mf.Config.Digest)
	if unreadable(err) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	c, err := image.ParseConfig(raw)
	if err != nil {
		return m, nil //nolint:nilerr // it is broken for good
	}
	m.Config = c
	if m.Config.Created != nil {
		m.Created = *m.Config.Created
	}
	for _, n := range e.layerSizes(ctx, m) {
		m.Size += n
	}
	return m, nil
}

// unreadable says that the content itself, and not the store, is at fault.
func unreadable(err error) bool {
	for _, fault := range []error{errs.ErrNotFound, errs.ErrInvalid, errs.ErrDigest, errs.ErrTooLarge} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}

// manifest reads the manifest at target or, if target is an index, the one in
// it that suits want. errs.ErrNotFound if it is not in the store.
func (e *Engine) manifest(ctx context.Context, target image.Descriptor, want image.Platform) (image.Manifest, image.Descriptor, error) {
	raw, err := e.view.ReadBlob(ctx, target.Digest)
	if err != nil {
		return image.Manifest{}, target, err
	}
	if image.IsIndex(target.MediaType) {
		x, err := image.ParseIndex(raw)
		if err != nil {
			return image.Manifest{}, target, err
		}
		if target, err = e.pick(ctx, x, want); err != nil {
			return image.Manifest{}, target, err
		}
		if raw, err = e.view.ReadBlob(ctx, target.Digest); err != nil {
			return image.Manifest{}, target, err
		}
	}
	m, err := image.ParseManifest(raw)
	return m, target, err
}

// pick chooses the manifest of x that suits want best or, where that is not in
// the store, the first one that is: an image pulled for another platform.
func (e *Engine) pick(ctx context.Context, x image.Index, want image.Platform) (image.Descriptor, error) {
	best, err := image.SelectManifest(x, want)
	if err == nil {
		if ok, err := e.view.Exists(ctx, best); ok || err != nil {
			return best, err
		}
	}
	for _, d := range x.Manifests {
		if d.Platform == nil || d.Platform.OS == "unknown" || !image.IsManifest(d.MediaType) {
			continue
		}
		if ok, err := e.view.Exists(ctx, d); ok || err != nil {
			return d, err
		}
	}
	return best, fmt.Errorf("no manifest of the index is in the store: %w", errs.ErrNotFound)
}

// layerSizes gives the size of each layer: of its uncompressed tar where the
// store knows it, of the blob otherwise.
func (e *Engine) layerSizes(ctx context.Context, m Image) []int64 {
	sizes := make([]int64, len(m.Layers))
	for i, d := range m.Layers {
		sizes[i] = d.Size
		if i >= len(m.Config.RootFS.DiffIDs) || d.Digest == m.Config.RootFS.DiffIDs[i] {
			continue
		}
		if l, err := e.view.LayerByDiffID(ctx, m.Config.RootFS.DiffIDs[i]); err == nil && l.Size > 0 {
			sizes[i] = l.Size
		}
	}
	return sizes
}
