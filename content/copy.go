package content

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/opencontainers/go-digest"
)

// Bounds on a graph, so that a hostile index cannot keep Copy busy for ever.
const (
	maxDepth = 8
	maxNodes = 20000
)

// defaultConcurrency is docker's default for uploads, and one more.
const defaultConcurrency = 4

// CopyOptions configure Copy. The zero value copies everything.
type CopyOptions struct {
	// Concurrency is how many blobs are under way at once; 0 means 4. With 1 they
	// go in the order of the manifest, config first.
	Concurrency int
	// Platform, when not nil, picks one manifest out of every index. The
	// result of Copy is then that manifest, and no index is written.
	Platform *image.Platform
	// KeepIndex writes the index too although Platform left out some of what it
	// lists; the result of Copy is then the index.
	KeepIndex bool
	// Sparse leaves out manifests that an index lists and src does not have.
	Sparse bool
	// Foreign copies layers that their media type forbids to distribute; by
	// default they are left out, as docker does on push.
	Foreign bool
	// Skip, when not nil, is asked for each layer before it is copied; true
	// leaves it out. diffID is the layer's uncompressed digest, "" if the
	// manifest's config is no image config. It may be called concurrently.
	Skip func(ctx context.Context, layer image.Descriptor, diffID digest.Digest) (bool, error)
	// MountFrom, when not nil, names repositories that may have the blob
	// already; they are tried first where the destination is a Mounter.
	MountFrom func(image.Descriptor) []string
	// Progress, when not nil, hears of every blob. It may be called
	// concurrently and must not block.
	Progress func(Event)
}

// A Mounter takes a blob from another repository of the same registry.
type Mounter interface {
	// Mount says false if the blob could not be had that way and has to be pushed.
	Mount(ctx context.Context, d image.Descriptor, from string) (bool, error)
}

// Copy copies the manifest or index d with all it refers to from src to dst.
// Children go before parents, so that whatever is seen at dst is complete; a
// blob that is there already is not read from src. It returns the root of what
// was copied: d, or the manifest that Platform chose.
//
// Manifests are read from dst where they are there already and dst can Fetch.
// Docker's schema 1 is refused with errs.ErrUnsupported.
func Copy(ctx context.Context, dst Pusher, src Fetcher, d image.Descriptor, o CopyOptions) (image.Descriptor, error) {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	c := &copier{dst: dst, src: src, o: o, slots: make(chan struct{}, o.Concurrency)}
	c.flights = map[digest.Digest]*flight{}
	root, err := c.node(ctx, d, 0)
	if err != nil {
		return image.Descriptor{}, fmt.Errorf("copy %s: %w", d.Digest, err)
	}
	return root, nil
}

// CopyName resolves srcName at src, copies it and tags it dstName at dst.
func CopyName(ctx context.Context, dst interface {
	Pusher
	Tagger
}, dstName string, src ReadOnly, srcName string, o CopyOptions,
) (image.Descriptor, error) {
	d, err := src.Resolve(ctx, srcName)
	if err != nil {
		return image.Descriptor{}, err
	}
	root, err := Copy(ctx, dst, src, d, o)
	if err != nil {
		return image.Descriptor{}, err
	}
	return root, dst.Tag(ctx, dstName, root)
}

// A copier is the state of one Copy.
type copier struct {
	dst   Pusher
	src   Fetcher
	o     CopyOptions
	slots chan struct{} // one per blob under way

	flightState
}

// node copies what d names and returns its root (see Copy).
func (c *copier) node(ctx context.Context, d image.Descriptor, depth int) (image.Descriptor, error) {
	if depth > maxDepth {
		return d, fmt.Errorf("index nested deeper than %d: %w", maxDepth, errs.ErrInvalid)
	}
	switch {
	case image.IsIndex(d.MediaType):
		return c.index(ctx, d, depth)
	case image.IsManifest(d.MediaType):
		return d, c.once(ctx, d, func() error { return c.manifest(ctx, d) })
	case d.MediaType == image.DockerManifestSchema1 || d.MediaType == dockerManifestSchema1Unsigned:
		return d, fmt.Errorf("manifest %s is docker's schema 1, which no current tool makes any more; "+
			"push the image again with a current docker: %w", d.Digest, errs.ErrUnsupported)
	}
	return d, c.once(ctx, d, func() error { return c.blob(ctx, d) })
}

const dockerManifestSchema1Unsigned = "application/vnd.docker.distribution.manifest.v1+json"

// index copies the manifests of an index and then, unless one was picked, the index.
func (c *copier) index(ctx context.Context, d image.Descriptor, depth int) (image.Descriptor, error) {
	raw, there, err := c.read(ctx, d)
	if err != nil {
		return d, err
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return d, fmt.Errorf("%s: %w", d.Digest, err)
	}
	children := x.Manifests
	if c.o.Platform != nil {
		one, err := c.choose(ctx, x)
		if err != nil {
			return d, err
		}
		if !c.o.KeepIndex {
			return c.node(ctx, one, depth+1)
		}
		children = []image.Descriptor{one}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Concurrency)
	for _, child := range children {
		if c.o.Sparse {
			if _, _, err := c.read(ctx, child); errors.Is(err, errs.ErrNotFound) {
				continue
			}
		}
		g.Go(func() error {
			_, err := c.node(gctx, child, depth+1)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return d, err
	}
	return d, c.once(ctx, d, func() error { return c.write(ctx, d, raw, there) })
}

// choose picks the manifest of the wanted platform, also from an index that
// lists only further indexes.
func (c *copier) choose(ctx context.Context, x image.Index) (image.Descriptor, error) {
	one, err := image.SelectManifest(x, *c.o.Platform)
	if err == nil {
		return one, nil
	}
	for _, d := range x.Manifests {
		if d.Platform == nil && image.IsIndex(d.MediaType) {
			raw, _, rerr := c.read(ctx, d)
			if rerr != nil {
				return d, rerr
			}
			inner, perr := image.ParseIndex(raw)
			if perr != nil {
				return d, perr
			}
			if _, serr := image.SelectManifest(inner, *c.o.Platform); serr == nil {
				return d, nil
			}
		}
	}
	return image.Descriptor{}, err
}

// manifest copies a manifest's config and layers, then the manifest.
func (c *copier) manifest(ctx context.Context, d image.Descriptor) error {
	raw, there, err := c.read(ctx, d)
	if err != nil {
		return err
	}
	m, err := image.ParseManifest(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", d.Digest, err)
	}
	diffIDs, err := c.diffIDs(ctx, m)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	if c.o.Concurrency == 1 {
		g.SetLimit(1) // one after another, in the manifest's order
	}
	g.Go(func() error { return c.once(gctx, m.Config, func() error { return c.blob(gctx, m.Config) }) })
	for i, l := range m.Layers {
		var diffID digest.Digest
		if len(diffIDs) == len(m.Layers) {
			diffID = diffIDs[i]
		}
		g.Go(func() error { return c.once(gctx, l, func() error { return c.layer(gctx, l, diffID) }) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return c.write(ctx, d, raw, there)
}

// diffIDs copies the config ahead of the layers if somebody wants to know the
// layers' diffIDs.
func (c *copier) diffIDs(ctx context.Context, m image.Manifest) ([]digest.Digest, error) {
	if c.o.Skip == nil || (m.Config.MediaType != image.MediaTypeConfig && m.Config.MediaType != image.DockerConfig) {
		return nil, nil
	}
	raw, there, err := c.read(ctx, m.Config)
	if err != nil {
		return nil, err
	}
	err = c.once(ctx, m.Config, func() error { return c.write(ctx, m.Config, raw, there) })
	if err != nil {
		return nil, err
	}
	cfg, err := image.ParseConfig(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.Config.Digest, err)
	}
	return cfg.RootFS.DiffIDs, nil
}
