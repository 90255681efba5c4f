package engine

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

// idPrefix matches what may be the beginning of an ID.
var idPrefix = regexp.MustCompile(`^(sha256:)?[0-9a-f]{1,64}$`)

// Image finds the image that name means: a full ID, then a name with tag or
// digest, then the beginning of an ID.
func (e *Engine) Image(ctx context.Context, name string) (Image, error) {
	m, _, err := e.find(ctx, name, e.platform)
	return m, err
}

// ImageFor is Image for a platform that is not the engine's: it is an error if
// the image is not there for it. nil is the engine's.
func (e *Engine) ImageFor(ctx context.Context, name string, platform *image.Platform) (Image, error) {
	return e.show(ctx, name, platform)
}

// find is Image for platform want; key is the canonical reference that matched,
// or "" if name is an ID.
func (e *Engine) find(ctx context.Context, name string, want image.Platform) (m Image, key string, err error) {
	all, err := e.images(ctx, want)
	if err != nil {
		return m, "", err
	}
	if digest.Digest(name).Validate() == nil {
		if i := slices.IndexFunc(all, func(m Image) bool { return m.hasID(digest.Digest(name)) }); i >= 0 {
			return all[i], "", nil
		}
	}
	if r, err := ref.Parse(name); err == nil {
		for _, m := range all {
			if key := m.match(r); key != "" {
				return m, key, nil
			}
		}
	} else if !idPrefix.MatchString(name) {
		return m, "", refuse(errs.ErrInvalid, "invalid reference format: %q", name)
	}
	if r, err := ref.Parse(name); err == nil && notScratch(r) != nil {
		return m, "", notScratch(r)
	}
	m, err = byPrefix(all, name)
	return m, "", err
}

// hasID says whether d is the digest of the image's config, manifest or target.
func (m Image) hasID(d digest.Digest) bool {
	return m.ID == d || m.Manifest.Digest == d ||
		slices.ContainsFunc(m.Targets, func(t image.Descriptor) bool { return t.Digest == d })
}

// match gives the name of m that r stands for, or "". A reference with a digest
// also matches a tag of the same repository whose target has that digest.
func (m Image) match(r ref.Ref) string {
	if r.Digest == "" {
		if slices.Contains(m.Names, r.String()) {
			return r.String()
		}
		return ""
	}
	if key := r.WithDigest(r.Digest).String(); slices.Contains(m.Digests, key) {
		return key
	}
	if !slices.ContainsFunc(m.Targets, func(t image.Descriptor) bool { return t.Digest == r.Digest }) {
		return ""
	}
	for _, tag := range m.Names {
		if repository(tag) == r.Name() {
			return tag
		}
	}
	return ""
}

// byPrefix finds the one image whose ID begins with prefix or, if there is none,
// the one whose manifest's digest does.
func byPrefix(all []Image, prefix string) (Image, error) {
	if !idPrefix.MatchString(prefix) {
		return Image{}, noImage(prefix)
	}
	hex := strings.TrimPrefix(prefix, "sha256:")
	begins := func(d digest.Digest) bool { return d != "" && strings.HasPrefix(d.Encoded(), hex) }
	var byID, byManifest []Image
	for _, m := range all {
		if begins(m.ID) {
			byID = append(byID, m)
		} else if begins(m.Manifest.Digest) || slices.ContainsFunc(m.Targets, func(t image.Descriptor) bool { return begins(t.Digest) }) {
			byManifest = append(byManifest, m)
		}
	}
	found := byID
	if len(found) == 0 {
		found = byManifest
	}
	switch len(found) {
	case 0:
		return Image{}, noImage(prefix)
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, m := range found {
		ids = append(ids, m.ID.String())
	}
	return Image{}, refuse(errs.ErrInvalid, "ambiguous image ID %s: it may be %s", prefix, strings.Join(ids, " or "))
}

// repository is the part of a canonical reference before tag and digest.
func repository(canonical string) string {
	r, err := ref.ParseName(canonical)
	if err != nil {
		return ""
	}
	return r.Name()
}

// Familiar is the short form of a canonical reference, as people write it.
func Familiar(canonical string) string {
	r, err := ref.ParseName(canonical)
	if err != nil {
		return canonical
	}
	return r.Familiar()
}

// parseTarget reads a name that is to be given to an image: it has no digest,
// its tag is latest unless it says so, and it is not scratch.
func parseTarget(name string) (ref.Ref, error) {
	r, err := ref.Parse(name)
	if err != nil {
		return r, badName(name, err)
	}
	if r.Digest != "" {
		return r, refuse(errs.ErrInvalid, "refusing to create a tag with a digest reference: %s", name)
	}
	return r, notScratch(r)
}

// notScratch refuses the name that stands for the empty image.
func notScratch(r ref.Ref) error {
	if r.FamiliarName() == "scratch" {
		return refuse(errs.ErrInvalid, "'scratch' is a reserved name")
	}
	return nil
}
