package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/transfer"
)

// PushOptions configure Push. The zero value works.
type PushOptions struct {
	// Platform pushes only that one of an image for several.
	Platform *image.Platform
	// Compression is what becomes of layers that are not compressed, or of all;
	// nil is gzip.
	Compression *transfer.Options
	// Progress hears of every blob. It may be called concurrently; nil is silence.
	Progress func(content.Event)
}

// Pushed says what Push did.
type Pushed struct {
	Ref    ref.Ref
	Target image.Descriptor // manifest or index that the registry has now
}

// Push copies the image name to the registry its name says. Layers that were
// built here are compressed on the way; the image keeps the compressed layers
// too, so that the next push, anywhere, sends the same bytes.
func (e *Engine) Push(ctx context.Context, name string, o PushOptions) (Pushed, error) {
	r, err := parseTarget(name)
	if err != nil {
		return Pushed{}, err
	}
	target, err := e.store.Resolve(ctx, r.String())
	if errors.Is(err, errs.ErrNotFound) {
		return Pushed{}, refuse(errs.ErrNotFound, "An image does not exist locally with the tag: %s", r.FamiliarName())
	}
	if err != nil {
		return Pushed{}, err
	}
	if o.Compression == nil {
		o.Compression = &transfer.Options{Kind: "gzip"}
	}
	repo := e.registry.Repository(r)
	repo.Resume(uploads{e.store})
	sent := &early{repo: repo, name: r.Tag, sent: map[digest.Digest]bool{}}
	compression := *o.Compression
	compression.Watcher = sent
	packed, err := e.pack(ctx, target, o.Platform, compression)
	if err != nil {
		return Pushed{}, err
	}
	from, err := e.mountSources(ctx, r)
	if err != nil {
		return Pushed{}, err
	}
	_, err = content.Copy(ctx, repo, refetcher{e}, packed, content.CopyOptions{
		Progress: sent.told(o.Progress), MountFrom: func(d image.Descriptor) []string { return from[d.Digest] },
	})
	if err != nil {
		return Pushed{}, err
	}
	if err := repo.Tag(ctx, r.Tag, packed); err != nil {
		return Pushed{}, err
	}
	return Pushed{r, packed}, e.store.Tag(ctx, r.WithDigest(packed.Digest).String(), packed)
}

// pushable is what can be pushed of target: of an index of which parts are not
// in the store, the one manifest that is; with platform, that manifest.
func (e *Engine) pushable(ctx context.Context, target image.Descriptor, platform *image.Platform) (image.Descriptor, error) {
	if !image.IsIndex(target.MediaType) {
		return target, nil
	}
	if platform != nil {
		_, d, err := e.manifest(ctx, target, *platform)
		return d, err
	}
	raw, err := e.store.ReadBlob(ctx, target.Digest)
	if err != nil {
		return target, err
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return target, err
	}
	for _, d := range x.Manifests {
		if ok, err := e.store.Exists(ctx, d); err != nil {
			return target, err
		} else if !ok {
			_, d, err := e.manifest(ctx, target, e.platform)
			return d, err
		}
	}
	return target, nil
}

// replace points the tags of old at d. Names by digest stay with what they say;
// if there is none, old is forgotten.
func (e *Engine) replace(ctx context.Context, old, d image.Descriptor) error {
	if old.Digest == d.Digest {
		return nil
	}
	names, err := e.store.Names(ctx)
	if err != nil {
		return err
	}
	keep := false
	for _, n := range names {
		switch {
		case n.Target.Digest != old.Digest || n.Ref == "":
		case strings.Contains(n.Ref, "@"):
			keep = true
		default:
			if err := e.store.Tag(ctx, n.Ref, d); err != nil {
				return err
			}
		}
	}
	if keep {
		return nil
	}
	return e.store.Forget(ctx, old.Digest)
}

// mountSources lists, for each layer, the repositories of r's registry that
// were seen to have it.
func (e *Engine) mountSources(ctx context.Context, r ref.Ref) (map[digest.Digest][]string, error) {
	names, err := e.store.Names(ctx)
	if err != nil {
		return nil, err
	}
	from := map[digest.Digest][]string{}
	for _, n := range names {
		other, err := ref.ParseName(n.Ref)
		if err != nil || other.Digest == "" || other.Domain != r.Domain || other.Path == r.Path {
			continue
		}
		m, err := e.load(ctx, n.Target, e.platform)
		if err != nil {
			return nil, err
		}
		for _, l := range m.Layers {
			if !slices.Contains(from[l.Digest], other.Path) {
				from[l.Digest] = append(from[l.Digest], other.Path)
			}
		}
	}
	return from, nil
}
