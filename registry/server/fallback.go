package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server/storage"
)

// fallbackTag is the tag under which clients keep the referrers of d themselves,
// with registries that do not list them, and which comes along when a repository
// is copied from there.
func fallbackTag(d digest.Digest) string {
	alg, enc := d.Algorithm().String(), d.Encoded()
	return alg[:min(len(alg), 32)] + "-" + enc[:min(len(enc), 64)]
}

// A fallback is the index under a fallback tag, and what it is to be without a
// manifest that is about to be deleted.
type fallback struct {
	tag  string
	old  digest.Digest
	next storage.Manifest // without Digest where nothing is left
	raw  []byte
	done storage.Finished
}

// fallbackWithout finds the fallback index that lists m; nil where there is none.
func (g *Registry) fallbackWithout(ctx context.Context, repo string, m storage.Manifest) (*fallback, error) {
	if m.Subject == "" {
		return nil, nil
	}
	f := &fallback{tag: fallbackTag(m.Subject)}
	t, err := g.index.Tag(ctx, repo, f.tag)
	if errors.Is(err, errs.ErrNotFound) || g.o.Immutable(repo, f.tag) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	f.old = t.Digest
	x, err := g.index.Manifest(ctx, repo, t.Digest)
	if err != nil || !slices.Contains(x.Manifests, m.Digest) {
		return nil, err
	}
	raw, err := g.manifestBytes(x)
	if err != nil {
		return nil, err
	}
	if f.raw, err = without(raw, m.Digest); err != nil || f.raw == nil {
		return f, err
	}
	d := x.Digest.Algorithm().FromBytes(f.raw)
	f.next, err = parseManifest(x.MediaType, d, f.raw)
	return f, err
}

// without takes an entry out of an index and leaves everything else as it is; nil
// says that no entry is left.
func without(raw []byte, d digest.Digest) ([]byte, error) {
	var x map[string]json.RawMessage
	var entries []json.RawMessage
	if err := json.Unmarshal(raw, &x); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(x["manifests"], &entries); err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e json.RawMessage) bool {
		var is image.Descriptor
		return json.Unmarshal(e, &is) == nil && is.Digest == d
	})
	if len(entries) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	x["manifests"] = list
	return json.Marshal(x)
}

// stage makes the bytes of the next index ready to be published.
func (f *fallback) stage(ctx context.Context, g *Registry, repo string) error {
	if f.raw == nil {
		return nil
	}
	id, err := g.blobs.Start(ctx, repo, f.next.Digest.Algorithm())
	if err != nil {
		return err
	}
	if _, err := g.blobs.Write(ctx, repo, id, 0, bytes.NewReader(f.raw)); err != nil {
		return errors.Join(err, g.blobs.Cancel(ctx, repo, id))
	}
	f.done, err = g.blobs.Finish(ctx, repo, id, f.next.Digest)
	return err
}

// replace has the tag stand for the next index, or for nothing.
func (f *fallback) replace(tx storage.Tx) error {
	t, err := tx.Tag(f.tag)
	if err != nil || t.Digest != f.old {
		return conflict("tag " + f.tag + " was moved meanwhile; delete it again")
	}
	if f.done == nil {
		tx.DeleteTag(f.tag)
	} else {
		tx.PutManifest(f.next)
		tx.PutTag(storage.Tag{Name: f.tag, Digest: f.next.Digest})
		tx.Publish(f.done.Publish)
	}
	if len(tx.TagsOf(f.old)) == 1 && len(tx.Users(f.old)) == 0 {
		tx.DeleteManifest(f.old)
	}
	return nil
}
