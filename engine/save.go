package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/archive"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

// SaveOptions configure Save. The zero value works.
type SaveOptions struct {
	// Platforms keeps only these of images for several.
	Platforms []image.Platform
	// Progress hears of every blob; nil is silence.
	Progress func(content.Event)
}

// Save writes images as a tar that docker load and OCI tools read. A name
// without a tag stands for all tags of the repository; an ID brings the image
// without its names. Everything is looked up before anything is written.
func (e *Engine) Save(ctx context.Context, w io.Writer, names []string, o SaveOptions) error {
	var list []archive.Image
	for _, n := range names {
		found, err := e.toSave(ctx, n)
		if err != nil {
			return err
		}
		for _, f := range found {
			if f.Target, err = e.only(ctx, n, f.Target, o.Platforms); err != nil {
				return err
			}
			list = addImage(list, f)
		}
	}
	wo := archive.WriterOptions{Platform: &e.platform, Progress: o.Progress}
	return archive.Write(ctx, w, refetcher{e}, list, wo)
}

// toSave finds the images that name means, each with the names to save.
func (e *Engine) toSave(ctx context.Context, name string) ([]archive.Image, error) {
	if r, err := ref.ParseName(name); err == nil && r.Tag == "" && r.Digest == "" {
		names, err := e.store.Names(ctx)
		if err != nil {
			return nil, err
		}
		var list []archive.Image
		for _, n := range names {
			if nr, err := ref.ParseName(n.Ref); err == nil && nr.Name() == r.Name() && nr.Digest == "" {
				list = append(list, archive.Image{Names: []string{n.Ref}, Target: n.Target})
			}
		}
		if len(list) > 0 {
			return list, nil
		}
	}
	m, key, err := e.find(ctx, name, e.platform)
	if err != nil {
		return nil, err
	}
	img := archive.Image{Target: m.target(key)}
	if r, err := ref.ParseName(key); err == nil && r.Digest == "" {
		img.Names = []string{key}
	}
	return []archive.Image{img}, nil
}

// addImage adds an image to list, or its names to the entry that is there.
func addImage(list []archive.Image, img archive.Image) []archive.Image {
	i := slices.IndexFunc(list, func(m archive.Image) bool { return m.Target.Digest == img.Target.Digest })
	if i < 0 {
		return append(list, img)
	}
	for _, n := range img.Names {
		if !slices.Contains(list[i].Names, n) {
			list[i].Names = append(list[i].Names, n)
		}
	}
	return list
}

// only gives what target has for the platforms: a manifest for one, an index of
// them for several, target itself if all are wanted.
func (e *Engine) only(ctx context.Context, name string, target image.Descriptor, want []image.Platform) (image.Descriptor, error) {
	if len(want) == 0 {
		return target, nil
	}
	if !image.IsIndex(target.MediaType) {
		m, err := e.load(ctx, target, want[0])
		if err != nil {
			return target, err
		}
		if len(want) > 1 || !platforms.OnlyStrict(want[0]).Match(m.Config.Platform) {
			return target, refuse(errs.ErrNotFound, "image %s is there only for platform %s", name, platforms.FormatAll(m.Config.Platform))
		}
		return target, nil
	}
	raw, err := e.store.ReadBlob(ctx, target.Digest)
	if err != nil {
		return target, err
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return target, err
	}
	var chosen []image.Descriptor
	for _, p := range want {
		d, err := image.SelectManifest(x, p)
		if err == nil {
			var there bool
			if there, err = e.store.Exists(ctx, d); err == nil && !there {
				err = errs.ErrNotFound
			}
		}
		if err != nil {
			return target, fmt.Errorf("image %s for platform %s: %w", name, platforms.FormatAll(p), err)
		}
		chosen = append(chosen, d)
	}
	if len(chosen) == 1 {
		return chosen[0], nil
	}
	x.Manifests = chosen
	if raw, err = json.Marshal(x); err != nil {
		return target, err
	}
	return e.store.WriteBlob(ctx, target.MediaType, raw)
}
