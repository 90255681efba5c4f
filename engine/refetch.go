package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/transfer/download"
)

// A refetcher is the store, which has the trees of all layers but not every blob: one
// whose tree was there already was not fetched. Whoever wants it gets it from a
// registry that is known to have the image.
type refetcher struct{ e *Engine }

// Fetch opens a blob.
func (f refetcher) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	rc, err := f.e.store.Fetch(ctx, d)
	if !errors.Is(err, errs.ErrNotFound) || !image.IsLayer(d.MediaType) {
		return rc, err
	}
	if ferr := f.e.refetch(ctx, d); ferr != nil {
		return nil, fmt.Errorf("%w; nor from a registry: %w", err, ferr)
	}
	return f.e.store.Fetch(ctx, d)
}

// refetch brings the layer d into the store from the registries of the images that
// have it.
func (e *Engine) refetch(ctx context.Context, d image.Descriptor) error {
	names, err := e.store.Names(ctx)
	if err != nil {
		return err
	}
	var all []error
	for _, n := range names {
		r, err := ref.ParseName(n.Ref)
		if err != nil || r.Digest == "" {
			continue // only names with a digest come from a registry
		}
		m, err := e.load(ctx, n.Target, e.platform)
		if err != nil || !slices.ContainsFunc(m.Layers, func(l image.Descriptor) bool { return l.Digest == d.Digest }) {
			continue
		}
		if err = download.New(e.store, e.registry.Repository(r), nil).Blob(ctx, d); err == nil {
			return nil
		}
		all = append(all, err)
	}
	if len(all) == 0 {
		return fmt.Errorf("none is known to have it: %w", errs.ErrNotFound)
	}
	return errors.Join(all...)
}

var _ content.Fetcher = refetcher{}
