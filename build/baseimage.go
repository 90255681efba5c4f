package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/store"
)

// baseImage is one image for one platform.
type baseImage struct {
	ref      string // canonical, with the digest of the index or manifest
	root     digest.Digest
	manifest image.Manifest
	config   image.Config
	raw      []byte
	from     content.Fetcher

	mu    sync.Mutex
	trees []store.Layer // once unpacked
}

// mediaTypeOf tells manifests from indexes where no descriptor says it.
func mediaTypeOf(raw []byte) string {
	if x, err := image.ParseIndex(raw); err == nil && len(x.Manifests) > 0 {
		return image.MediaTypeIndex
	}
	return image.MediaTypeManifest
}

// load follows d to the manifest and config for want, keeping both in the store.
func (m *images) load(ctx context.Context, from content.Fetcher, d image.Descriptor, want image.Platform) (*baseImage, error) {
	img := &baseImage{root: d.Digest, from: from}
	for depth := 0; ; depth++ {
		raw, err := m.metadata(ctx, from, d)
		if err != nil {
			return nil, err
		}
		if image.IsManifest(d.MediaType) {
			if img.manifest, err = image.ParseManifest(raw); err != nil {
				return nil, err
			}
			break
		}
		if !image.IsIndex(d.MediaType) || depth > 4 {
			return nil, fmt.Errorf("%s is a %s, not an image: %w", d.Digest, d.MediaType, errs.ErrUnsupported)
		}
		x, err := image.ParseIndex(raw)
		if err != nil {
			return nil, err
		}
		if d, err = image.SelectManifest(x, want); err != nil {
			return nil, err
		}
	}
	var err error
	if img.raw, err = m.metadata(ctx, from, img.manifest.Config); err != nil {
		return nil, err
	}
	if img.config, err = image.ParseConfig(img.raw); err != nil {
		return nil, err
	}
	if n, l := len(img.config.RootFS.DiffIDs), len(img.manifest.Layers); n != l {
		return nil, fmt.Errorf("image %s has %d layers and %d diff ids: %w", d.Digest, l, n, errs.ErrInvalid)
	}
	return img, nil
}

func (m *images) metadata(ctx context.Context, from content.Fetcher, d image.Descriptor) ([]byte, error) {
	if d.Size > image.MaxMetadata {
		return nil, fmt.Errorf("%s of %d bytes: %w", d.MediaType, d.Size, errs.ErrTooLarge)
	}
	if raw, err := m.s.store.ReadBlob(ctx, d.Digest); err == nil {
		return raw, nil
	} else if !errors.Is(err, errs.ErrNotFound) {
		return nil, err
	}
	rc, err := from.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, image.MaxMetadata+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > image.MaxMetadata {
		return nil, fmt.Errorf("%s %s: %w", d.MediaType, d.Digest, errs.ErrTooLarge)
	}
	_, err = m.s.store.WriteBlob(ctx, d.MediaType, raw)
	return raw, err
}

// Layers gives the layers of a resolved image; files are fetched when a step
// first needs them.
func (m *images) Layers(ctx context.Context, name, layoutID string, p *image.Platform, vertex digest.Digest) ([]*solve.Layer, error) {
	img, err := m.resolve(ctx, name, layoutID, p, false)
	if err != nil {
		return nil, err
	}
	out := make([]*solve.Layer, len(img.manifest.Layers))
	for i, d := range img.manifest.Layers {
		diffID := img.config.RootFS.DiffIDs[i]
		out[i] = solve.Lazy(diffID, d, func(ctx context.Context) (store.Layer, error) {
			trees, err := m.unpack(ctx, img, vertex)
			if err != nil {
				return store.Layer{}, err
			}
			return trees[i], nil
		})
	}
	return out, nil
}

// unpack makes the trees of all of img's layers, once: what one layer's tree
// looks like may depend on those below it.
func (m *images) unpack(ctx context.Context, img *baseImage, vertex digest.Digest) ([]store.Layer, error) {
	img.mu.Lock()
	defer img.mu.Unlock()
	if img.trees != nil {
		return img.trees, nil
	}
	if img.from != content.Fetcher(m.s.store) {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(4)
		for i, d := range img.manifest.Layers {
			g.Go(func() error {
				if err := m.fetch(gctx, img, i, vertex); err != nil {
					return fmt.Errorf("fetch layer %s: %w", d.Digest, err)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
	}
	trees, err := m.s.store.UnpackStack(ctx, img.manifest.Layers, img.config.RootFS.DiffIDs)
	if err != nil {
		return nil, err
	}
	img.trees = trees
	return trees, nil
}
