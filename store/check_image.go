//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// An imageWalk is what the names lead to.
type imageWalk struct {
	store  *Store
	list   []Name
	users  map[digest.Digest][]string         // names that lead to a blob or diffID
	sizes  map[digest.Digest]int64            // as descriptors say
	blobs  map[digest.Digest]image.Descriptor // by diffID: a layer's blob
	trees  map[digest.Digest]digest.Digest    // by a layer's blob: its diffID
	pulled map[string]bool                    // names with a digest: a registry has them
}

// walkImages follows all names.
func (c *checker) walkImages(ctx context.Context) error {
	list, err := c.store.Names(ctx)
	if err != nil && !errors.Is(err, errs.ErrInvalid) { // checkNamesLog told of those
		return err
	}
	w := &imageWalk{
		store: c.store, list: list, users: map[digest.Digest][]string{}, sizes: map[digest.Digest]int64{},
		blobs: map[digest.Digest]image.Descriptor{}, trees: map[digest.Digest]digest.Digest{}, pulled: map[string]bool{},
	}
	c.images = w
	registries := map[digest.Digest]bool{}
	for _, n := range list {
		if strings.Contains(n.Ref, "@") {
			registries[n.Target.Digest] = true
		}
	}
	for _, n := range list {
		name := showName(n)
		w.pulled[name] = registries[n.Target.Digest]
		if err := w.visit(n.Target, name, map[digest.Digest]bool{}); err != nil {
			return err
		}
	}
	return nil
}

// showName is how a finding calls a name, or a target that has none.
func showName(n Name) string {
	if n.Ref == "" {
		return n.Target.Digest.String()
	}
	return n.Ref
}

func (w *imageWalk) visit(d image.Descriptor, name string, seen map[digest.Digest]bool) error {
	if seen[d.Digest] {
		return nil
	}
	seen[d.Digest] = true
	w.users[d.Digest] = append(w.users[d.Digest], name)
	w.sizes[d.Digest] = d.Size
	if image.IsLayer(d.MediaType) {
		return nil
	}
	doc, err := w.store.readDocument(d.Digest)
	if err != nil {
		return fmt.Errorf("read %s: %w", d.Digest, err)
	}
	for _, child := range doc.children() {
		if err := w.visit(child, name, seen); err != nil {
			return err
		}
	}
	if doc.Config == nil || doc.Config.Digest == "" {
		return nil
	}
	config, err := w.store.readDocument(doc.Config.Digest)
	if err != nil {
		return fmt.Errorf("read %s: %w", doc.Config.Digest, err)
	}
	if ids := config.RootFS.DiffIDs; len(ids) == len(doc.Layers) {
		for i, id := range ids {
			w.blobs[id] = doc.Layers[i]
			w.trees[doc.Layers[i].Digest] = id
			if id != doc.Layers[i].Digest && !seen[id] {
				seen[id] = true
				w.users[id] = append(w.users[id], name)
			}
		}
	}
	return nil
}

// children are the descriptors in a document. (The "config" of an image's config
// is something else, without a digest.)
func (d document) children() []image.Descriptor {
	var out []image.Descriptor
	if d.Config != nil && d.Config.Digest != "" {
		out = append(out, *d.Config)
	}
	return slices.Concat(out, d.Layers, d.Manifests, d.Blobs)
}

// names are the images that need the blob, or the layer with the diffID, d.
func (w *imageWalk) names(d digest.Digest) []string { return w.users[d] }

func (w *imageWalk) size(d digest.Digest) (int64, bool) {
	n, ok := w.sizes[d]
	return n, ok
}

// advice says how to get the bytes of images again.
func (w *imageWalk) advice(names []string) string {
	var pull, build []string
	for _, n := range names {
		if w.pulled[n] {
			pull = append(pull, n)
		} else {
			build = append(build, n)
		}
	}
	var parts []string
	if len(pull) > 0 {
		parts = append(parts, "pull again: "+strings.Join(pull, ", "))
	}
	if len(build) > 0 {
		parts = append(parts, "build or load again: "+strings.Join(build, ", "))
	}
	return strings.Join(parts, "; ")
}

// checkNames verifies that every name leads to a whole image.
func (c *checker) checkNames(ctx context.Context) error {
	for _, n := range c.images.list {
		lacks := c.lacking(n.Target, map[digest.Digest]bool{})
		if len(lacks) == 0 {
			continue
		}
		name := showName(n)
		f := &finding{
			Problem: Problem{
				Kind: "name", Object: name, What: "lacks " + strings.Join(lacks, ", "),
				Images: []string{name}, Advice: c.images.advice([]string{name}),
			},
			still: func() bool { return c.sameName(ctx, n) && len(c.lacking(n.Target, map[digest.Digest]bool{})) > 0 },
		}
		if n.Ref == "" {
			f.Advice = "build it again, or remove it: mica rmi " + name
		}
		c.add(f)
	}
	return nil
}

// sameName says whether a name still stands for the same.
func (c *checker) sameName(ctx context.Context, n Name) bool {
	list, err := c.store.Names(ctx)
	return err != nil || slices.ContainsFunc(list, func(m Name) bool {
		return m.Ref == n.Ref && m.Target.Digest == n.Target.Digest
	})
}

// lacking lists what is missing of the image d. Of an index one image is enough:
// others may never have been pulled.
func (c *checker) lacking(d image.Descriptor, seen map[digest.Digest]bool) []string {
	if seen[d.Digest] {
		return nil
	}
	seen[d.Digest] = true
	switch {
	case content.IsForeign(d.MediaType), c.has(d), c.unfetched(d):
	default:
		return []string{kindOf(d) + " " + d.Digest.String()}
	}
	if image.IsLayer(d.MediaType) {
		return nil
	}
	doc, err := c.store.readDocument(d.Digest)
	if err != nil {
		return []string{kindOf(d) + " " + d.Digest.String() + " (" + err.Error() + ")"}
	}
	var out []string
	there := 0
	for _, m := range doc.Manifests {
		if c.has(m) {
			there++
			out = append(out, c.lacking(m, seen)...)
		}
	}
	if len(doc.Manifests) > 0 && there == 0 {
		out = append(out, "every manifest of index "+d.Digest.String())
	}
	doc.Manifests = nil
	for _, child := range doc.children() {
		out = append(out, c.lacking(child, seen)...)
	}
	return out
}

// has says whether a good blob is there, or a good tree that gives its bytes.
func (c *checker) has(d image.Descriptor) bool {
	p, err := c.store.blobPath(d.Digest)
	if err != nil {
		return false
	}
	if st, err := os.Stat(p); err == nil && !c.badBlobs[d.Digest] && (d.Size == st.Size() || c.badSize(d)) {
		return true
	}
	x, err := c.store.exactTree(d.Digest)
	return err == nil && !c.badTrees[x.ID]
}

// unfetched says whether d is a layer that was not fetched because its tree was there
// under another digest.
func (c *checker) unfetched(d image.Descriptor) bool {
	id, ok := c.images.trees[d.Digest]
	if !ok || !c.store.unfetched(d.Digest) {
		return false
	}
	x, err := c.store.lookUp(id, "")
	return err == nil && !c.badTrees[x.ID]
}

// badSize says whether it is d's size that is wrong, and not the blob's.
func (c *checker) badSize(d image.Descriptor) bool {
	size, ok := c.images.sizes[d.Digest]
	return ok && size != d.Size
}

func kindOf(d image.Descriptor) string {
	switch {
	case image.IsIndex(d.MediaType):
		return "index"
	case image.IsManifest(d.MediaType):
		return "manifest"
	case image.IsLayer(d.MediaType):
		return "layer"
	case strings.Contains(d.MediaType, "config") || strings.Contains(d.MediaType, "container.image"):
		return "config"
	}
	return "blob"
}
