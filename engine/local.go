package engine

import (
	"context"
	"io"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/store"
	"github.com/mica-build/mica/transfer"
)

// A Local is the engine's store as a place that images are copied from and to.
type Local struct {
	*store.Store
	e *Engine
}

// Local is the engine's store as a place.
func (e *Engine) Local() Local { return Local{e.store, e} }

// Fetch opens a blob.
func (l Local) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	return refetcher{l.e}.Fetch(ctx, d)
}

// Pack finds an image by name or ID and gives it as it goes to others: layers that
// were built here are compressed, and the image is from now on the one that has them
// so. Of an index of which parts are not here it is this machine's manifest.
func (l Local) Pack(ctx context.Context, name string) (image.Descriptor, error) {
	m, key, err := l.e.find(ctx, name, l.e.platform)
	if err != nil {
		// What is no image, such as a signature, is found by its exact name.
		if r, perr := ref.Parse(name); perr == nil {
			if d, rerr := l.Resolve(ctx, r.String()); rerr == nil {
				return d, nil
			}
		}
		return image.Descriptor{}, err
	}
	return l.e.pack(ctx, m.target(key), nil, transfer.Options{Kind: "gzip"})
}

// Names lists the names that images have.
func (l Local) Names(ctx context.Context) ([]string, error) {
	names, err := l.Store.Names(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(names))
	for _, n := range names {
		if n.Ref != "" {
			out = append(out, n.Ref)
		}
	}
	return out, nil
}

// pack is target, or the one of platform, as it goes to others.
func (e *Engine) pack(ctx context.Context, target image.Descriptor, platform *image.Platform, o transfer.Options) (image.Descriptor, error) {
	target, err := e.pushable(ctx, target, platform)
	if err != nil {
		return target, err
	}
	packed, err := transfer.Compress(ctx, e.store, target, o)
	if err != nil {
		return target, err
	}
	return packed, e.replace(ctx, target, packed)
}
