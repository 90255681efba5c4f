package engine

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

// usage is how much of the disk layers take, and who needs them.
type usage struct {
	size   map[digest.Digest]int64 // by diffID: tree and blobs on disk
	users  map[digest.Digest]int   // by diffID: images
	cached map[digest.Digest]int64 // by diffID: the part that build records keep
}

// measure looks at the layers of all images and at the build cache.
func (e *Engine) measure(ctx context.Context, all []Image) (*usage, error) {
	records, err := e.view.Records(ctx)
	if err != nil {
		return nil, err
	}
	inCache := map[store.LayerID]bool{}
	for _, r := range records {
		for _, stack := range r.Outputs {
			for _, id := range stack {
				inCache[id] = true
			}
		}
	}
	u := &usage{map[digest.Digest]int64{}, map[digest.Digest]int{}, map[digest.Digest]int64{}}
	for _, m := range all {
		sizes := e.layerSizes(ctx, m)
		for i, id := range m.Config.RootFS.DiffIDs {
			u.users[id]++
			if i >= len(m.Layers) || u.users[id] > 1 {
				continue
			}
			if d := m.Layers[i]; d.Digest != id {
				if ok, err := e.view.Exists(ctx, d); err == nil && ok {
					u.size[id] += d.Size
				}
			}
			l, err := e.view.LayerByDiffID(ctx, id)
			if errors.Is(err, errs.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			tree := l.Usage
			if tree < 0 {
				tree = sizes[i]
			}
			u.size[id] += tree
			if inCache[l.ID] {
				u.cached[id] = tree
			}
		}
	}
	return u, nil
}

// shared is how much of m other images have too, and size how much it takes.
func (u *usage) shared(m Image) (size, shared int64) {
	for _, id := range m.Config.RootFS.DiffIDs {
		size += u.size[id]
		if u.users[id] > 1 {
			shared += u.size[id]
		}
	}
	return size, shared
}

// remove takes m out of the account and says how much that frees.
func (u *usage) remove(m Image) (freed int64) {
	for _, id := range m.Config.RootFS.DiffIDs {
		if u.users[id]--; u.users[id] == 0 {
			freed += u.size[id] - u.cached[id]
		}
	}
	return freed
}

// total is what all layers of images take.
func (u *usage) total() (n int64) {
	for _, size := range u.size {
		n += size
	}
	return n
}

// DiskUsage says what the store's disk space is spent on, in bytes.
type DiskUsage struct {
	Images     []ImageUsage
	ImagesSize int64 // of all layers of images, shared ones once
	Cache      []CacheEntry
	CacheSize  int64 // of the layers and cache mounts that only the build cache has
	Store      store.Usage
}

// ImageUsage is the part of the disk that one image takes.
type ImageUsage struct {
	Image
	Size   int64 // bytes on disk
	Shared int64 // of them, bytes that other images have too
}

// DiskUsage measures the store.
func (e *Engine) DiskUsage(ctx context.Context) (DiskUsage, error) {
	var du DiskUsage
	all, err := e.Images(ctx, Filter{})
	if err != nil {
		return du, err
	}
	u, err := e.measure(ctx, all)
	if err != nil {
		return du, err
	}
	for _, m := range all {
		size, shared := u.shared(m)
		du.Images = append(du.Images, ImageUsage{m, size, shared})
	}
	du.ImagesSize = u.total()
	if du.Cache, err = e.BuildCache(ctx); err != nil {
		return du, err
	}
	for _, c := range du.Cache {
		if !c.Shared {
			du.CacheSize += c.Size
		}
	}
	du.Store, err = e.store.Usage(ctx)
	return du, err
}

// A CacheEntry is one record of the build cache, or one cache mount.
type CacheEntry struct {
	ID          string
	Type        string // regular, source.local, exec.cachemount, ...
	Description string
	Parents     []string
	Size        int64 // bytes on disk of what this entry, and none older, has
	Created     time.Time
	LastUsed    time.Time
	UsageCount  int
	InUse       bool // a running mica holds it
	Mutable     bool // it is a cache mount
	Shared      bool // an image has its layers too
}
