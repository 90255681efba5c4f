package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/internal/ocilayout"
)

// An Entry is one manifest or index that index.json lists, with its name.
type Entry = ocilayout.Entry

// List gives what index.json lists, in its order.
func (l *Layout) List(context.Context) ([]Entry, error) {
	x, err := l.index()
	if err != nil {
		return nil, err
	}
	return ocilayout.Entries(x), nil
}

// Resolve finds a manifest or index by whole reference, tag or digest; "" is
// the only one there is. A tag that stands for several is errs.ErrConflict.
func (l *Layout) Resolve(_ context.Context, name string) (image.Descriptor, error) {
	x, err := l.index()
	if err != nil {
		return image.Descriptor{}, err
	}
	d, err := ocilayout.Find(x, name)
	if err == nil {
		return d, nil
	}
	if dgst, derr := digest.Parse(name); derr == nil && errors.Is(err, errs.ErrNotFound) {
		return l.inner(dgst)
	}
	return d, fmt.Errorf("OCI layout %s: %w", l.dir, err)
}

// Tag lists d under name instead of what was there by that name.
func (l *Layout) Tag(ctx context.Context, name string, d image.Descriptor) error {
	if ok, err := l.Exists(ctx, d); err != nil || !ok {
		return errors.Join(err, fmt.Errorf("tag %s: blob %s: %w", name, d.Digest, errs.ErrNotFound))
	}
	return l.update(ctx, func(x *image.Index) error {
		ocilayout.Put(x, name, d)
		return nil
	})
}

// Untag removes name; blobs stay. errs.ErrNotFound if there is no such name.
func (l *Layout) Untag(ctx context.Context, name string) error {
	return l.update(ctx, func(x *image.Index) error {
		n := len(x.Manifests)
		x.Manifests = slices.DeleteFunc(x.Manifests, func(d image.Descriptor) bool { return ocilayout.NameOf(d) == name })
		if len(x.Manifests) == n {
			return fmt.Errorf("untag %s: %w", name, errs.ErrNotFound)
		}
		return nil
	})
}

// inner describes a manifest or index that index.json does not list itself.
func (l *Layout) inner(dgst digest.Digest) (image.Descriptor, error) {
	raw, err := readFile(filepath.Join(l.dir, filepath.FromSlash(ocilayout.BlobPath(dgst))))
	if err != nil {
		return image.Descriptor{}, fmt.Errorf("OCI layout %s: image %s: %w", l.dir, dgst, err)
	}
	mt := ocilayout.MediaTypeOf(raw)
	if mt == "" {
		return image.Descriptor{}, fmt.Errorf("OCI layout %s: %s is no image: %w", l.dir, dgst, errs.ErrNotFound)
	}
	return image.Descriptor{MediaType: mt, Digest: dgst, Size: int64(len(raw))}, nil
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
