package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/atomicfile"
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

// List gives what index.json lists, in its order.
func (l *Layout) List(context.Context) ([]Entry, error) {
	x, err := l.index()
	if err != nil {
		return nil, err
	}
	return Entries(x), nil
}

// Entries reads the names out of a layout's index.
func Entries(x image.Index) []Entry {
	out := make([]Entry, 0, len(x.Manifests))
	for _, d := range x.Manifests {
		out = append(out, Entry{Name: nameOf(d), Target: bare(d)})
	}
	return out
}

// Resolve finds a manifest or index by whole reference, tag or digest; "" is
// the only one there is. A tag that stands for several is errs.ErrConflict.
func (l *Layout) Resolve(_ context.Context, name string) (image.Descriptor, error) {
	x, err := l.index()
	if err != nil {
		return image.Descriptor{}, err
	}
	d, err := Find(x, name)
	if err == nil {
		return d, nil
	}
	if dgst, derr := digest.Parse(name); derr == nil && errors.Is(err, errs.ErrNotFound) {
		return l.inner(dgst)
	}
	return d, fmt.Errorf("OCI layout %s: %w", l.dir, err)
}

// Find is Resolve within a layout's index.
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

// Tag lists d under name instead of what was there by that name.
func (l *Layout) Tag(ctx context.Context, name string, d image.Descriptor) error {
	if ok, err := l.Exists(ctx, d); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("tag %s: blob %s: %w", name, d.Digest, errs.ErrNotFound))
	}
	return l.update(ctx, func(x *image.Index) error {
		Put(x, name, d)
		return nil
	})
}

// Untag removes name; blobs stay. errs.ErrNotFound if there is no such name.
func (l *Layout) Untag(ctx context.Context, name string) error {
	return l.update(ctx, func(x *image.Index) error {
		n := len(x.Manifests)
		x.Manifests = slices.DeleteFunc(x.Manifests, func(d image.Descriptor) bool { return nameOf(d) == name })
		if len(x.Manifests) == n {
			return fmt.Errorf("untag %s: %w", name, errs.ErrNotFound)
		}
		return nil
	})
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
		if (name != "" && nameOf(old) == nameOf(d)) || (nameOf(old) == "" && old.Digest == d.Digest) {
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

func nameOf(d image.Descriptor) string {
	if n := d.Annotations[AnnotationName]; n != "" {
		return n
	}
	return d.Annotations[ocispec.AnnotationRefName]
}

func matches(d image.Descriptor, name string) bool {
	switch name {
	case "", nameOf(d), d.Digest.String(), d.Annotations[ocispec.AnnotationRefName]:
		return true
	}
	want, ok := whole(name)
	if !ok {
		return false
	}
	have, ok := whole(nameOf(d))
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

// inner describes a manifest or index that index.json does not list itself.
func (l *Layout) inner(dgst digest.Digest) (image.Descriptor, error) {
	raw, err := readFile(filepath.Join(l.dir, filepath.FromSlash(BlobPath(dgst))))
	if err != nil {
		return image.Descriptor{}, fmt.Errorf("OCI layout %s: image %s: %w", l.dir, dgst, err)
	}
	mt := MediaTypeOf(raw)
	if mt == "" {
		return image.Descriptor{}, fmt.Errorf("OCI layout %s: %s is no image: %w", l.dir, dgst, errs.ErrNotFound)
	}
	return image.Descriptor{MediaType: mt, Digest: dgst, Size: int64(len(raw))}, nil
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

func (l *Layout) index() (image.Index, error) {
	raw, err := readFile(filepath.Join(l.dir, ocispec.ImageIndexFile))
	if err != nil {
		return image.Index{}, fmt.Errorf("OCI layout %s: %w", l.dir, err)
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return x, fmt.Errorf("OCI layout %s: %w", l.dir, err)
	}
	return x, nil
}

// update changes index.json while nobody else does.
func (l *Layout) update(ctx context.Context, change func(*image.Index) error) error {
	unlock, err := lock(ctx, filepath.Join(l.dir, ocispec.ImageIndexFile+".lock"))
	if err != nil {
		return fmt.Errorf("OCI layout: %w", err)
	}
	defer unlock()
	x, err := l.index()
	if errors.Is(err, errs.ErrNotFound) {
		x, err = image.Index{MediaType: image.MediaTypeIndex, Manifests: []image.Descriptor{}}, nil
		x.SchemaVersion = 2
	}
	if err != nil {
		return err
	}
	before, _ := json.Marshal(x)
	if err := change(&x); err != nil {
		return fmt.Errorf("OCI layout %s: %w", l.dir, err)
	}
	raw, err := json.Marshal(x)
	if err != nil {
		return fmt.Errorf("OCI layout %s: %w", l.dir, err)
	}
	path := filepath.Join(l.dir, ocispec.ImageIndexFile)
	if _, err := os.Stat(path); err == nil && bytes.Equal(before, raw) {
		return nil
	}
	return atomicfile.Write(path, raw, atomicfile.Options{})
}
