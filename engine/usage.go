package engine

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/store"
)

// usage is how much of the disk layers take, and who needs them.
type usage struct {
	size  map[digest.Digest]int64 // by diffID: trees and blobs on disk
	users map[digest.Digest]int   // by diffID: images
	trees int64                   // the part of trees
}

// measure looks at the layers of all images.
func (e *Engine) measure(ctx context.Context, all []Image) (*usage, error) {
	layers, err := e.view.Layers(ctx)
	if err != nil {
		return nil, err
	}
	trees := map[digest.Digest]int64{}
	for _, l := range layers {
		trees[l.DiffID] += l.Usage
	}
	u := &usage{size: map[digest.Digest]int64{}, users: map[digest.Digest]int{}}
	for _, m := range all {
		for i, id := range m.Config.RootFS.DiffIDs {
			if u.users[id]++; u.users[id] > 1 {
				continue
			}
			u.trees += trees[id]
			u.size[id] = trees[id] + e.view.BlobUsage(id)
			if i < len(m.Layers) && m.Layers[i].Digest != id {
				u.size[id] += e.view.BlobUsage(m.Layers[i].Digest)
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

// DiskUsage says what the store's disk space is spent on, in bytes.
type DiskUsage struct {
	Images     []ImageUsage
	ImagesSize int64 // of all blobs, and the trees of images' layers, shared ones once
	Cache      []CacheEntry
	CacheSize  int64 // of everything else, unless the build cache is empty
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
	if du.Cache, err = e.BuildCache(ctx); err != nil {
		return du, err
	}
	if du.Store, err = e.store.Usage(ctx); err != nil {
		return du, err
	}
	if len(all) > 0 {
		du.ImagesSize = u.trees + du.Store.Blobs
	}
	if len(du.Cache) > 0 {
		du.CacheSize = du.Store.Total() - du.ImagesSize
	}
	return du, nil
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
