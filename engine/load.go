package engine

import (
	"context"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/archive"
	"github.com/mica-build/mica/image"
)

// LoadOptions configure Load. The zero value works.
type LoadOptions struct {
	// Platform picks one of images for several; nil takes all that the archive has.
	Platform *image.Platform
	// Progress hears of every blob that is copied, and then of each layer that
	// was unpacked. It may be called concurrently; nil is silence.
	Progress func(PullEvent)
}

// Loaded is one image that Load read.
type Loaded struct {
	Name string // canonical; "" if the archive gives it none
	ID   digest.Digest
}

// Load reads images from a tar as docker save or an OCI tool wrote it, also
// compressed, into the store. Names appear only when all images are there.
func (e *Engine) Load(ctx context.Context, r io.Reader, o LoadOptions) ([]Loaded, error) {
	dir, err := e.store.TempDir(ctx, "load-")
	if err != nil {
		return nil, err
	}
	a, err := archive.Open(ctx, r, archive.Options{TempDir: dir})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if o.Progress == nil {
		o.Progress = func(PullEvent) {}
	}
	for _, img := range a.Images() {
		if err := e.loadImage(ctx, a, img.Target, o); err != nil {
			return nil, err
		}
	}
	var done []Loaded
	for _, img := range a.Images() {
		l, err := e.nameLoaded(ctx, img, o)
		done = append(done, l...)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// loadImage copies one image and unpacks its layers.
func (e *Engine) loadImage(ctx context.Context, src content.Fetcher, target image.Descriptor, o LoadOptions) error {
	_, err := content.Copy(ctx, e.store, src, target, content.CopyOptions{
		Platform: o.Platform, KeepIndex: o.Platform != nil, Sparse: true, Foreign: true,
		Progress: func(ev content.Event) { o.Progress(PullEvent{Event: ev}) },
	})
	if err != nil {
		return err
	}
	want := e.platform
	if o.Platform != nil {
		want = *o.Platform
	}
	layers, err := e.unpack(ctx, target, want)
	if err != nil {
		return err
	}
	for _, d := range layers {
		o.Progress(PullEvent{content.Event{Blob: d, State: content.Done, Bytes: d.Size}, true})
	}
	return nil
}

// nameLoaded gives an image the names that the archive has for it.
func (e *Engine) nameLoaded(ctx context.Context, img archive.Image, o LoadOptions) ([]Loaded, error) {
	m, err := e.load(ctx, img.Target, e.platform)
	if err != nil {
		return nil, err
	}
	var done []Loaded
	for _, n := range img.Names {
		if !strings.Contains(n, "/") {
			continue // a bare tag names nothing outside its layout
		}
		if err := e.store.Tag(ctx, n, img.Target); err != nil {
			return done, err
		}
		done = append(done, Loaded{n, m.ID})
	}
	if len(done) > 0 {
		return done, nil
	}
	return []Loaded{{ID: m.ID}}, e.store.Tag(ctx, "", img.Target)
}
