package mirror

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
)

// some copies some platforms of the index d and gives an index of them.
func (c *copying) some(ctx context.Context, d image.Descriptor) (image.Descriptor, error) {
	raw, err := content.ReadAll(ctx, c.src, d)
	if err != nil {
		return d, err
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return d, err
	}
	keep := make([]bool, len(x.Manifests))
	for _, p := range c.o.Platforms {
		one, err := image.SelectManifest(x, p)
		if err != nil {
			return d, fmt.Errorf("%s: %w", platforms.FormatAll(p), err)
		}
		for i, m := range x.Manifests {
			keep[i] = keep[i] || m.Digest == one.Digest
		}
	}
	if !slices.Contains(keep, false) {
		return content.Copy(ctx, c.dst, c.src, d, c.options())
	}
	var kept []image.Descriptor
	for i, m := range x.Manifests {
		if !keep[i] {
			continue
		}
		if _, err := content.Copy(ctx, c.dst, c.src, m, c.options()); err != nil {
			return d, err
		}
		kept = append(kept, m)
	}
	x.Manifests = kept
	if raw, err = json.Marshal(x); err != nil {
		return d, err
	}
	d = image.NewDescriptor(d.MediaType, raw)
	return d, c.dst.Push(ctx, d, bytes.NewReader(raw))
}
