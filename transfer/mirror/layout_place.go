package mirror

import (
	"context"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/layout"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

// A layoutPlace is an OCI layout. Its index.json lists referrers without a name.
type layoutPlace struct{ *layout.Layout }

// Resolve finds an image; "" is the only one there is.
func (p *layoutPlace) Resolve(ctx context.Context, name string) (image.Descriptor, error) {
	if name != "" {
		return p.Layout.Resolve(ctx, name)
	}
	entries, err := p.List(ctx)
	if err != nil {
		return image.Descriptor{}, err
	}
	all := make([]listed, len(entries))
	for i, e := range entries {
		all[i] = listed(e)
	}
	d, err := only(ctx, p, all)
	if err != nil {
		return d, fmt.Errorf("OCI layout %s: %w", p.Dir(), err)
	}
	return d, nil
}

// Tags lists the names in index.json.
func (p *layoutPlace) Tags(ctx context.Context) ([]string, error) {
	entries, err := p.List(ctx)
	var names []string
	for _, e := range entries {
		if e.Name != "" {
			names = append(names, e.Name)
		}
	}
	return names, err
}

// Referrers looks through what index.json lists.
func (p *layoutPlace) Referrers(ctx context.Context, d digest.Digest) ([]image.Descriptor, error) {
	entries, err := p.List(ctx)
	if err != nil {
		return nil, err
	}
	listed := make([]image.Descriptor, len(entries))
	for i, e := range entries {
		listed[i] = e.Target
	}
	return referrersAmong(ctx, p, listed, d)
}

// Refer lists d.
func (p *layoutPlace) Refer(ctx context.Context, _ string, _, d image.Descriptor) error {
	return p.Layout.Tag(ctx, "", d)
}

// Sibling is tag beside name.
func (p *layoutPlace) Sibling(name, tag string) string { return sibling(name, tag) }

// Close does nothing.
func (p *layoutPlace) Close() error { return nil }

// Commit does nothing: all is there already.
func (p *layoutPlace) Commit() error { return nil }

// sibling is a tag beside a name that may be a whole reference or a tag.
func sibling(name, tag string) string {
	if !strings.ContainsAny(name, "/:") {
		return tag
	}
	r, err := ref.ParseName(name)
	if err != nil {
		return tag
	}
	return r.Name() + ":" + tag
}

// referrersAmong finds the manifests of listed whose subject is d.
func referrersAmong(ctx context.Context, f content.Fetcher, listed []image.Descriptor, d digest.Digest) ([]image.Descriptor, error) {
	var found []image.Descriptor
	for _, m := range listed {
		if !image.IsManifest(m.MediaType) && !image.IsIndex(m.MediaType) {
			continue
		}
		raw, err := content.ReadAll(ctx, f, m)
		if err != nil {
			return nil, err
		}
		about, err := describe(raw)
		if err == nil && about.Subject != nil && about.Subject.Digest == d {
			m.ArtifactType, m.Annotations = about.artifactType(), about.Annotations
			found = append(found, m)
		}
	}
	return found, nil
}
