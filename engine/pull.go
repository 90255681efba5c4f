package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/transfer/download"
)

// PullOptions configure Pull. The zero value works.
type PullOptions struct {
	// Platform picks one of an image for several; nil is the engine's.
	Platform *image.Platform
	// Progress hears of every blob that is copied, and then of each layer that
	// was unpacked. It may be called concurrently; nil is silence.
	Progress func(PullEvent)
}

// A PullEvent is one step in the life of a blob.
type PullEvent struct {
	content.Event
	Unpacked bool // the layer is unpacked: nothing more will be said of it
}

// Pulled says what Pull did.
type Pulled struct {
	Ref    ref.Ref
	Target image.Descriptor // manifest or index that the registry has
	New    bool             // the name did not stand for it before
}

// Pull copies an image from its registry into the store, unpacks its layers and
// names it. Of an image for several platforms one is copied.
func (e *Engine) Pull(ctx context.Context, name string, o PullOptions) (Pulled, error) {
	r, err := ref.Parse(name)
	if err != nil {
		return Pulled{}, badName(name, err)
	}
	if err := notScratch(r); err != nil {
		return Pulled{}, err
	}
	if o.Platform == nil {
		o.Platform = &e.platform
	}
	if o.Progress == nil {
		o.Progress = func(PullEvent) {}
	}
	repo := e.registry.Repository(r)
	target, err := repo.Resolve(ctx, r.Identifier())
	if err != nil {
		return Pulled{}, err
	}
	before, err := e.store.Resolve(ctx, r.String())
	if err != nil && !errors.Is(err, errs.ErrNotFound) {
		return Pulled{}, err
	}
	var layers []imageLayer
	var mu sync.Mutex
	_, err = content.Copy(ctx, e.store, repo, target, content.CopyOptions{
		Platform: o.Platform, KeepIndex: true,
		Progress: func(ev content.Event) {
			if ev.State != content.Skipped || content.IsForeign(ev.Blob.MediaType) {
				o.Progress(PullEvent{Event: ev})
			}
		},
		// Layers come below.
		Skip: func(_ context.Context, d image.Descriptor, diffID digest.Digest) (bool, error) {
			if diffID == "" || isNoLayer(d) {
				return false, nil
			}
			mu.Lock()
			defer mu.Unlock()
			layers = append(layers, imageLayer{d, diffID})
			return true, nil
		},
	})
	if err != nil {
		return Pulled{}, err
	}
	if err := e.fetchLayers(ctx, repo, layers, o.Progress); err != nil {
		return Pulled{}, err
	}
	if _, err := e.unpack(ctx, target, *o.Platform); err != nil {
		return Pulled{}, err
	}
	return Pulled{r, target, before.Digest != target.Digest}, e.nameAs(ctx, r, target)
}

// An imageLayer is a layer and what the config says of it.
type imageLayer struct {
	blob   image.Descriptor
	diffID digest.Digest
}

// fetchLayers brings layers into the store and unpacks each while it arrives.
func (e *Engine) fetchLayers(ctx context.Context, from download.Source, layers []imageLayer, tell func(PullEvent)) error {
	w := download.New(e.store, from, func(ev content.Event) { tell(PullEvent{Event: ev}) })
	// The largest first: they take longest.
	slices.SortStableFunc(layers, func(a, b imageLayer) int { return cmp.Compare(b.blob.Size, a.blob.Size) })
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(6)
	for _, l := range layers {
		g.Go(func() error {
			err := w.Layer(gctx, l.blob, l.diffID)
			if missing := (*layer.MissingLinkError)(nil); err != nil && !errors.As(err, &missing) {
				return err
			}
			tell(PullEvent{content.Event{Blob: l.blob, State: content.Done, Bytes: l.blob.Size}, true})
			return nil
		})
	}
	return g.Wait()
}

// unpack makes what trees are still wanted of the image at target: those of layers
// that do not stand alone, and directories that a tar does not describe. It gives the
// layers.
func (e *Engine) unpack(ctx context.Context, target image.Descriptor, want image.Platform) ([]image.Descriptor, error) {
	m, err := e.load(ctx, target, want)
	if err != nil || !m.Complete() {
		return nil, err // what is no image has no layers to unpack
	}
	if len(m.Layers) != len(m.Config.RootFS.DiffIDs) || slices.ContainsFunc(m.Layers, isNoLayer) {
		return nil, nil // nor has it layers to be stacked
	}
	_, err = e.store.UnpackStack(ctx, m.Layers, m.Config.RootFS.DiffIDs)
	return m.Layers, err
}

func isNoLayer(d image.Descriptor) bool { return !image.IsLayer(d.MediaType) }

// nameAs gives target the tag of r and the digest by which its registry knows it.
func (e *Engine) nameAs(ctx context.Context, r ref.Ref, target image.Descriptor) error {
	if r.Tag != "" && r.Digest == "" {
		if err := e.store.Tag(ctx, r.String(), target); err != nil {
			return err
		}
	}
	return e.store.Tag(ctx, r.WithDigest(target.Digest).String(), target)
}
