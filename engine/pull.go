package engine

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/ref"
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
	_, err = content.Copy(ctx, e.store, repo, target, content.CopyOptions{
		Platform: o.Platform, KeepIndex: true,
		Progress: func(ev content.Event) { o.Progress(PullEvent{Event: ev}) },
	})
	if err != nil {
		return Pulled{}, err
	}
	if err := e.unpack(ctx, target, *o.Platform, o.Progress); err != nil {
		return Pulled{}, err
	}
	return Pulled{r, target, before.Digest != target.Digest}, e.nameAs(ctx, r, target)
}

// unpack makes the layer trees of the image at target.
func (e *Engine) unpack(ctx context.Context, target image.Descriptor, want image.Platform, tell func(PullEvent)) error {
	m, err := e.load(ctx, target, want)
	if err != nil || !m.Complete() {
		return err // what is no image has no layers to unpack
	}
	if len(m.Layers) != len(m.Config.RootFS.DiffIDs) || slices.ContainsFunc(m.Layers, isNoLayer) {
		return nil // nor has it layers to be stacked
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, d := range m.Layers {
		g.Go(func() error {
			_, err := e.store.Unpack(gctx, d, m.Config.RootFS.DiffIDs[i])
			if missing := (*layer.MissingLinkError)(nil); err != nil && !errors.As(err, &missing) {
				return err
			}
			tell(PullEvent{content.Event{Blob: d, State: content.Done, Bytes: d.Size}, true})
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	// Layers that do not stand alone, and directories that a tar does not describe.
	_, err = e.store.UnpackStack(ctx, m.Layers, m.Config.RootFS.DiffIDs)
	return err
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
