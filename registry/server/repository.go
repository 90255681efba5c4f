package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server/storage"
)

var _ content.Store = Repository{}

// Repository is one repository of a registry for this process: images can be
// copied to and from it without HTTP. Rights and ReadOnly are not asked about, and
// nobody hears of events; immutable tags and limits hold.
type Repository struct {
	g    *Registry
	name string
}

// Repository gives a repository, which need not be there yet.
// A name that is none is errs.ErrInvalid.
func (g *Registry) Repository(name string) (Repository, error) {
	if !ValidName(name) {
		return Repository{}, fmt.Errorf("repository %q: %w", name, errs.ErrInvalid)
	}
	return Repository{g, name}, nil
}

// Fetch opens a blob or manifest.
func (r Repository) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	if err := image.CheckDescriptor(d); err != nil {
		return nil, fmt.Errorf("fetch from %s: %w", r.name, err)
	}
	ok, err := r.has(ctx, d)
	if err == nil && !ok {
		err = errs.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("fetch %s from %s: %w", d.Digest, r.name, err)
	}
	f, err := r.g.blobs.Open(ctx, d.Digest)
	if err != nil {
		return nil, fmt.Errorf("fetch %s from %s: %w", d.Digest, r.name, err)
	}
	return content.Verify(f, d), nil
}

func isManifest(mt string) bool { return image.IsManifest(mt) || image.IsIndex(mt) }

// has says whether the repository has d, as what its type says.
func (r Repository) has(ctx context.Context, d image.Descriptor) (bool, error) {
	var err error
	if isManifest(d.MediaType) {
		_, err = r.g.index.Manifest(ctx, r.name, d.Digest)
	} else {
		_, err = r.g.index.Blob(ctx, r.name, d.Digest)
	}
	if errors.Is(err, errs.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Exists says whether the repository has a blob or manifest.
func (r Repository) Exists(ctx context.Context, d image.Descriptor) (bool, error) {
	if err := image.CheckDescriptor(d); err != nil {
		return false, fmt.Errorf("look in %s: %w", r.name, err)
	}
	return r.has(ctx, d)
}

// Push stores a blob or manifest.
func (r Repository) Push(ctx context.Context, d image.Descriptor, from io.Reader) error {
	err := image.CheckDescriptor(d)
	if err == nil && isManifest(d.MediaType) {
		err = r.pushManifest(ctx, d, from)
	} else if err == nil {
		err = r.pushBlob(ctx, d, from)
	}
	if err != nil {
		return fmt.Errorf("push %s to %s: %w", d.Digest, r.name, err)
	}
	return nil
}

func (r Repository) pushManifest(ctx context.Context, d image.Descriptor, from io.Reader) error {
	if d.Size > r.g.o.MaxManifest {
		return errs.ErrTooLarge
	}
	raw, err := io.ReadAll(content.Verified(from, d))
	if err != nil {
		return err
	}
	m, err := parseManifest(d.MediaType, d.Digest, raw)
	if err != nil {
		return err
	}
	return r.g.storeManifest(ctx, r.name, m, raw, nil)
}

func (r Repository) pushBlob(ctx context.Context, d image.Descriptor, from io.Reader) error {
	id, err := r.g.blobs.Start(ctx, r.name, d.Digest.Algorithm())
	if err != nil {
		return err
	}
	if _, err := r.g.blobs.Write(ctx, r.name, id, 0, content.Verified(from, d)); err != nil {
		return errors.Join(err, r.g.blobs.Cancel(context.WithoutCancel(ctx), r.name, id))
	}
	f, err := r.g.blobs.Finish(ctx, r.name, id, d.Digest)
	if err != nil {
		return err
	}
	if err := r.g.addBlob(ctx, r.name, storage.Link{Digest: d.Digest, Size: f.Size()}, f.Publish); err != nil {
		f.Discard()
		return err
	}
	return nil
}

// tagOf is the tag of a reference, or the tag itself.
func tagOf(name string) (string, error) {
	tag := name[strings.LastIndexByte(name, ':')+1:]
	if !ValidTag(tag) {
		return "", fmt.Errorf("tag %q: %w", name, errs.ErrInvalid)
	}
	return tag, nil
}

// Resolve gives what a tag stands for; of a longer reference only the tag counts.
func (r Repository) Resolve(ctx context.Context, name string) (image.Descriptor, error) {
	tag, err := tagOf(name)
	if err != nil {
		return image.Descriptor{}, err
	}
	t, err := r.g.index.Tag(ctx, r.name, tag)
	if err != nil {
		return image.Descriptor{}, fmt.Errorf("resolve %s in %s: %w", tag, r.name, err)
	}
	m, err := r.g.index.Manifest(ctx, r.name, t.Digest)
	if err != nil {
		return image.Descriptor{}, fmt.Errorf("resolve %s in %s: %w", tag, r.name, err)
	}
	return image.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}, nil
}

// Tag gives a manifest a tag; of a longer reference only the tag counts.
func (r Repository) Tag(ctx context.Context, name string, d image.Descriptor) error {
	tag, err := tagOf(name)
	if err != nil {
		return err
	}
	err = r.g.index.Update(ctx, r.name, func(tx storage.Tx) error {
		if _, err := tx.Manifest(d.Digest); err != nil {
			return err
		}
		return r.g.putTags(tx, r.name, d.Digest, []string{tag})
	})
	if err != nil {
		return fmt.Errorf("tag %s in %s: %w", tag, r.name, err)
	}
	return nil
}
