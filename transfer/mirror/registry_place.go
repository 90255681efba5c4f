package mirror

import (
	"context"
	"fmt"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
)

// A registryPlace is a repository of a registry.
type registryPlace struct{ *remote.Repository }

// Tag gives d a tag; a digest as the name needs none.
func (p *registryPlace) Tag(ctx context.Context, name string, d image.Descriptor) error {
	r, err := ref.Parse(name)
	if err != nil {
		return err
	}
	if r.Digest != "" {
		if r.Digest != d.Digest {
			return fmt.Errorf("the image is %s, the name says %s: %w", d.Digest, r.Digest, errs.ErrDigest)
		}
		return nil
	}
	return p.Repository.Tag(ctx, r.Tag, d)
}

// Refer does nothing: Push has done it.
func (p *registryPlace) Refer(context.Context, string, image.Descriptor, image.Descriptor) error {
	return nil
}

// Sibling is another tag of the repository.
func (p *registryPlace) Sibling(_, tag string) string { return p.Ref().Name() + ":" + tag }

// mountFrom is the source's repository if it is at the same registry.
func (p *registryPlace) mountFrom(src Source) string {
	if s, ok := src.(*registryPlace); ok && s.Ref().Domain == p.Ref().Domain && s.Ref().Path != p.Ref().Path {
		return s.Ref().Path
	}
	return ""
}

// Close does nothing.
func (p *registryPlace) Close() error { return nil }

// Commit does nothing: all is there already.
func (p *registryPlace) Commit() error { return nil }
