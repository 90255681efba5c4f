package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

// A storePlace is the local store. Referrers are kept under the tag that
// registries without an API for them use.
type storePlace struct{ Local }

// Resolve finds an image, packed.
func (p *storePlace) Resolve(ctx context.Context, name string) (image.Descriptor, error) {
	return p.Pack(ctx, name)
}

// Tag names d.
func (p *storePlace) Tag(ctx context.Context, name string, d image.Descriptor) error {
	r, err := ref.Parse(name)
	if err != nil {
		return err
	}
	return p.Local.Tag(ctx, r.String(), d)
}

// Tags lists the references of images.
func (p *storePlace) Tags(ctx context.Context) ([]string, error) { return p.Names(ctx) }

// Referrers gives what lies under the tag for them, in whatever repository.
func (p *storePlace) Referrers(ctx context.Context, d digest.Digest) ([]image.Descriptor, error) {
	names, err := p.Names(ctx)
	if err != nil {
		return nil, err
	}
	var all []image.Descriptor
	for _, name := range names {
		if !strings.HasSuffix(name, ":"+content.ReferrersTag(d)) {
			continue
		}
		listed, err := p.listed(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, m := range listed {
			if !slices.ContainsFunc(all, func(o image.Descriptor) bool { return o.Digest == m.Digest }) {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// listed reads the index called name; none is an empty one.
func (p *storePlace) listed(ctx context.Context, name string) ([]image.Descriptor, error) {
	d, err := p.Local.Resolve(ctx, name)
	if errors.Is(err, errs.ErrNotFound) || err == nil && !image.IsIndex(d.MediaType) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	raw, err := content.ReadAll(ctx, p, d)
	if err != nil {
		return nil, err
	}
	x, err := image.ParseIndex(raw)
	return x.Manifests, err
}

// Refer lists d among the referrers of subject in the repository of name.
func (p *storePlace) Refer(ctx context.Context, name string, subject, d image.Descriptor) error {
	tag := p.Sibling(name, content.ReferrersTag(subject.Digest))
	listed, err := p.listed(ctx, tag)
	if err != nil || slices.ContainsFunc(listed, func(o image.Descriptor) bool { return o.Digest == d.Digest }) {
		return err
	}
	raw, err := json.Marshal(image.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeIndex, Manifests: append(listed, d),
	})
	if err != nil {
		return err
	}
	x := image.NewDescriptor(image.MediaTypeIndex, raw)
	if err := p.Push(ctx, x, strings.NewReader(string(raw))); err != nil {
		return err
	}
	return p.Tag(ctx, tag, x)
}

// Sibling is another tag of name's repository.
func (p *storePlace) Sibling(name, tag string) string {
	r, err := ref.ParseName(name)
	if err != nil {
		return name
	}
	return r.Name() + ":" + tag
}

// Close does nothing: the store is its opener's.
func (p *storePlace) Close() error { return nil }

// Commit does nothing: all is there already.
func (p *storePlace) Commit() error { return nil }
