package engine

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/transfer"
)

// An early push sends layers while they are being compressed. Whatever does not go well
// is left to the push after it, which looks for each blob first.
type early struct {
	repo *remote.Repository
	name string // that the image will have there

	ask sync.Once
	has map[digest.Digest]bool // diff IDs of the image that has the name now

	mu   sync.Mutex
	sent map[digest.Digest]bool
}

// earlySize is how much of a layer is made before it is sent, in bytes. What is smaller is
// as well sent when it is done.
const earlySize = 8 << 20

// earlyImages bounds how many images of an index are looked at for what is there.
const earlyImages = 4

// Watch sends a layer while it is made.
func (p *early) Watch(ctx context.Context, plain image.Descriptor, name string, g transfer.Growing) {
	if have, whole, err := g.Wait(ctx, earlySize); err != nil || have < earlySize || whole.Digest != "" {
		return
	}
	// The image that is to be replaced may have the layer, compressed on another machine.
	p.ask.Do(func() { p.has = p.diffIDs(ctx) })
	if p.has[plain.Digest] {
		return
	}
	sent, err := p.repo.PushGrowing(ctx, name, g)
	if err != nil || !sent {
		return
	}
	if _, whole, err := g.Wait(ctx, 0); err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sent[whole.Digest] = true
	}
}

// diffIDs are those of the image that has the name in the registry.
func (p *early) diffIDs(ctx context.Context) map[digest.Digest]bool {
	has := map[digest.Digest]bool{}
	d, err := p.repo.Resolve(ctx, p.name)
	if err != nil {
		return has
	}
	images := []image.Descriptor{d}
	if image.IsIndex(d.MediaType) {
		var x image.Index
		if raw, err := content.ReadAll(ctx, p.repo, d); err == nil {
			x, _ = image.ParseIndex(raw)
		}
		images = x.Manifests[:min(len(x.Manifests), earlyImages)]
	}
	for _, d := range images {
		c, err := p.config(ctx, d)
		if err != nil {
			continue
		}
		for _, id := range c.RootFS.DiffIDs {
			has[id] = true
		}
	}
	return has
}

func (p *early) config(ctx context.Context, d image.Descriptor) (image.Config, error) {
	raw, err := content.ReadAll(ctx, p.repo, d)
	if err != nil {
		return image.Config{}, err
	}
	m, err := image.ParseManifest(raw)
	if err != nil {
		return image.Config{}, err
	}
	if raw, err = content.ReadAll(ctx, p.repo, m.Config); err != nil {
		return image.Config{}, err
	}
	return image.ParseConfig(raw)
}

// told says of blobs that were sent early that they are there now, not that they were
// there before.
func (p *early) told(progress func(content.Event)) func(content.Event) {
	if progress == nil {
		return nil
	}
	return func(e content.Event) {
		p.mu.Lock()
		if e.State == content.Exists && p.sent[e.Blob.Digest] {
			e.State = content.Done
		}
		p.mu.Unlock()
		progress(e)
	}
}
