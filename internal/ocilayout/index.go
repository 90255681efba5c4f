package ocilayout

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

// AnnotationName is where containerd and docker keep an image's whole name; the
// tag alone is in org.opencontainers.image.ref.name.
const AnnotationName = "io.containerd.image.name"

// An Entry is one manifest or index that a layout's index.json lists.
type Entry struct {
	Name   string // whole reference, or tag; "" if it has none
	Target image.Descriptor
}

// Entries reads the names out of a layout's index.
func Entries(x image.Index) []Entry {
	out := make([]Entry, 0, len(x.Manifests))
	for _, d := range x.Manifests {
		out = append(out, Entry{Name: NameOf(d), Target: bare(d)})
	}
	return out
}

// Find gives the manifest or index with that name (whole reference, tag or
// digest); "" is the only one there is. errs.ErrNotFound if there is none,
// errs.ErrConflict if there are several.
func Find(x image.Index, name string) (image.Descriptor, error) {
	var found []image.Descriptor
	for _, d := range x.Manifests {
		if matches(d, name) && !slices.ContainsFunc(found, func(f image.Descriptor) bool { return f.Digest == d.Digest }) {
			found = append(found, bare(d))
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && name == "":
		return image.Descriptor{}, fmt.Errorf("it has no image: %w", errs.ErrNotFound)
	case len(found) == 0:
		return image.Descriptor{}, fmt.Errorf("image %q: %w", name, errs.ErrNotFound)
	}
	return image.Descriptor{}, fmt.Errorf("%d images go by the name %q: %w", len(found), name, errs.ErrConflict)
}

// Put lists d under name in a layout's index, where an entry of that name, or an
// entry for d without any, is replaced. "" lists it without a name.
func Put(x *image.Index, name string, d image.Descriptor) {
	d = bare(d)
	if name != "" {
		d.Annotations = maps.Clone(d.Annotations)
		if d.Annotations == nil {
			d.Annotations = map[string]string{}
		}
		d.Annotations[ocispec.AnnotationRefName] = name
		if r, ok := whole(name); ok {
			d.Annotations[AnnotationName] = r.String()
			d.Annotations[ocispec.AnnotationRefName] = r.Identifier()
		}
	}
	for i, old := range x.Manifests {
		if (name != "" && NameOf(old) == NameOf(d)) || (NameOf(old) == "" && old.Digest == d.Digest) {
			x.Manifests[i] = d
			return
		}
	}
	if name == "" && slices.ContainsFunc(x.Manifests, func(o image.Descriptor) bool { return o.Digest == d.Digest }) {
		return
	}
	x.Manifests = append(x.Manifests, d)
}

// whole reads name as a reference if it is more than a tag.
func whole(name string) (ref.Ref, bool) {
	if !strings.ContainsAny(name, "/:") {
		return ref.Ref{}, false
	}
	r, err := ref.Parse(name)
	return r, err == nil
}

// NameOf is the name in d's annotations, "" if there is none.
func NameOf(d image.Descriptor) string {
	if n := d.Annotations[AnnotationName]; n != "" {
		return n
	}
	return d.Annotations[ocispec.AnnotationRefName]
}

func matches(d image.Descriptor, name string) bool {
	switch name {
	case "", NameOf(d), d.Digest.String(), d.Annotations[ocispec.AnnotationRefName]:
		return true
	}
	want, ok := whole(name)
	if !ok {
		return false
	}
	have, ok := whole(NameOf(d))
	return ok && have == want
}

// bare is d without the annotations that are names.
func bare(d image.Descriptor) image.Descriptor {
	if d.Annotations == nil {
		return d
	}
	d.Annotations = maps.Clone(d.Annotations)
	delete(d.Annotations, AnnotationName)
	delete(d.Annotations, ocispec.AnnotationRefName)
	if len(d.Annotations) == 0 {
		d.Annotations = nil
	}
	return d
}

// MediaTypeOf tells from its content what a manifest or index is, "" if neither.
func MediaTypeOf(raw []byte) string {
	var v struct {
		MediaType string            `json:"mediaType"`
		Manifests []json.RawMessage `json:"manifests"`
		Config    json.RawMessage   `json:"config"`
		Layers    []json.RawMessage `json:"layers"`
	}
	switch err := json.Unmarshal(raw, &v); {
	case err != nil:
		return ""
	case image.IsManifest(v.MediaType) || image.IsIndex(v.MediaType):
		return v.MediaType
	case v.MediaType != "":
		return ""
	case v.Manifests != nil:
		return image.MediaTypeIndex
	case v.Layers != nil && len(v.Config) > 0:
		return image.MediaTypeManifest
	}
	return ""
}
