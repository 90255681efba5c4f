package mirror

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

// A listed image is one that a layout or an archive lists; Name may be empty.
type listed struct {
	Name   string
	Target image.Descriptor
}

// only gives the one image among all, where there is no name to say which: what has
// no name but refers to others is none, nor is what tools keep by a digest.
func only(ctx context.Context, f content.Fetcher, all []listed) (image.Descriptor, error) {
	var found []listed
	add := func(l listed) {
		if !slices.ContainsFunc(found, func(o listed) bool { return o.Target.Digest == l.Target.Digest }) {
			found = append(found, l)
		}
	}
	for _, l := range all {
		if l.Name != "" && !DigestTag(tagIn(l.Name)) {
			add(l)
		}
	}
	for _, l := range all {
		if len(found) > 0 && found[0].Name != "" || l.Name != "" {
			continue
		}
		raw, err := content.ReadAll(ctx, f, l.Target)
		if err != nil {
			return image.Descriptor{}, err
		}
		if about, err := describe(raw); err == nil && about.Subject == nil {
			add(l)
		}
	}
	switch len(found) {
	case 0:
		return image.Descriptor{}, fmt.Errorf("there is no image in it: %w", errs.ErrNotFound)
	case 1:
		return found[0].Target, nil
	}
	names := make([]string, len(found))
	for i, l := range found {
		names[i] = l.Name
		if l.Name == "" {
			names[i] = l.Target.Digest.String()
		}
	}
	return image.Descriptor{}, fmt.Errorf("there are several images in it: %w: name one of %s", errs.ErrConflict, strings.Join(names, ", "))
}

// tagIn is the tag of a reference, or the tag that name is.
func tagIn(name string) string {
	if !strings.ContainsAny(name, "/:@") {
		return name
	}
	r, err := ref.ParseName(name)
	if err != nil {
		return name
	}
	return r.Tag
}
