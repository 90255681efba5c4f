package mirror

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// CopyOptions configure Copy. The zero value copies everything.
type CopyOptions struct {
	// Platforms keeps only these of an image for several: of one the manifest, of
	// more an index of them. Either has another digest than the whole.
	Platforms []image.Platform
	// ImageOnly leaves out what refers to the image.
	ImageOnly bool
	// Progress hears of every blob. It may be called concurrently.
	Progress func(content.Event)
}

// Copy copies what srcName stands for at src, with all that it refers to and, where
// it is copied whole, all that refers to it, and calls it dstName at dst. The name
// comes last. It gives the descriptor of what has the name now.
func Copy(ctx context.Context, dst Target, dstName string, src Source, srcName string, o CopyOptions) (image.Descriptor, error) {
	root, err := src.Resolve(ctx, srcName)
	if err != nil {
		return root, err
	}
	c := &copying{dst: dst, src: src, name: dstName, o: o, seen: map[digest.Digest]bool{}}
	if root, err = c.content(ctx, root); err != nil {
		return root, err
	}
	if !o.ImageOnly && len(o.Platforms) == 0 {
		if err := c.about(ctx, root, 0); err != nil {
			return root, err
		}
	}
	return root, dst.Tag(ctx, dstName, root)
}

// A copying is the state of one Copy.
type copying struct {
	dst  Target
	src  Source
	name string // at dst
	o    CopyOptions

	mu     sync.Mutex
	seen   map[digest.Digest]bool
	cosign bool // the root has signatures by tag
}

// content copies d, or what is wanted of it, and gives that.
func (c *copying) content(ctx context.Context, d image.Descriptor) (image.Descriptor, error) {
	if len(c.o.Platforms) > 1 && image.IsIndex(d.MediaType) {
		return c.some(ctx, d)
	}
	o := c.options()
	if len(c.o.Platforms) == 1 {
		o.Platform = &c.o.Platforms[0]
	}
	return content.Copy(ctx, c.dst, c.src, d, o)
}

func (c *copying) options() content.CopyOptions {
	o := content.CopyOptions{Progress: c.o.Progress}
	if w, ok := c.dst.(within); ok {
		if from := w.mountFrom(c.src); from != "" {
			o.MountFrom = func(image.Descriptor) []string { return []string{from} }
		}
	}
	return o
}

// maxDepth bounds referrers of referrers.
const maxDepth = 8

// about copies what refers to d and, if d is an index, to what it lists.
func (c *copying) about(ctx context.Context, d image.Descriptor, depth int) error {
	c.mu.Lock()
	known := c.seen[d.Digest]
	c.seen[d.Digest] = true
	c.mu.Unlock()
	if known || depth > maxDepth || !image.IsManifest(d.MediaType) && !image.IsIndex(d.MediaType) {
		return nil
	}
	found, err := c.src.Referrers(ctx, d.Digest)
	if err != nil {
		return err
	}
	for _, m := range found {
		if err := c.referrer(ctx, d, m, depth); err != nil {
			return fmt.Errorf("referrer %s of %s: %w", m.Digest, d.Digest, err)
		}
	}
	if depth == 0 || c.cosign {
		if err := c.byTag(ctx, d, depth); err != nil {
			return err
		}
	}
	if !image.IsIndex(d.MediaType) {
		return nil
	}
	raw, err := content.ReadAll(ctx, c.src, d)
	if err != nil {
		return err
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, m := range x.Manifests {
		g.Go(func() error { return c.about(ctx, m, depth+1) })
	}
	return g.Wait()
}

// referrer copies m, which refers to d, and what refers to m.
func (c *copying) referrer(ctx context.Context, d, m image.Descriptor, depth int) error {
	listed := m
	// As it is: a list of referrers describes it with more than the blob's own.
	m = image.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}
	_, err := content.Copy(ctx, c.dst, c.src, m, c.options())
	if errors.Is(err, errs.ErrNotFound) {
		return nil // lists are not always up to date
	}
	if err != nil {
		return err
	}
	if err := c.dst.Refer(ctx, c.name, d, listed); err != nil {
		return err
	}
	return c.about(ctx, m, depth+1)
}

// byTag copies what cosign keeps under tags made of the digest.
func (c *copying) byTag(ctx context.Context, d image.Descriptor, depth int) error {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, suffix := range []string{".sig", ".att", ".sbom"} {
		tag := d.Digest.Algorithm().String() + "-" + d.Digest.Encoded() + suffix
		g.Go(func() error {
			_, err := content.CopyName(ctx, c.dst, c.dst.Sibling(c.name, tag), c.src, tag, c.options())
			if errors.Is(err, errs.ErrNotFound) || errors.Is(err, errs.ErrInvalid) {
				return nil
			}
			if err == nil && depth == 0 {
				mu.Lock()
				c.cosign = true
				mu.Unlock()
			}
			return err
		})
	}
	return g.Wait()
}
