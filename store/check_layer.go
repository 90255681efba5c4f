//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/layer"
)

// checkLayers verifies every layer tree: by its tar's digest if the tree is to
// give that back, by unpacking its blob once more if it came from one.
func (c *checker) checkLayers(ctx context.Context) error {
	entries, err := os.ReadDir(c.store.path("layers"))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, e := range entries {
		g.Go(func() error { return c.checkLayer(ctx, LayerID(e.Name())) })
	}
	return g.Wait()
}

func (c *checker) checkLayer(ctx context.Context, id LayerID) error {
	dir := c.store.path("layers", string(id))
	m, err := readMeta(dir)
	what := ""
	switch {
	case err != nil && !errors.Is(err, errs.ErrNotFound):
		what = "cannot be read: " + err.Error()
	case err != nil:
		if _, serr := os.Lstat(dir); gone(serr) {
			return nil
		}
		what = "has no meta.json, or a damaged one"
	default:
		if what, err = c.treeFault(ctx, dir, m); err != nil {
			return err
		}
	}
	if what == "" {
		return nil
	}
	f := &finding{
		Problem: Problem{
			Kind: "layer", Object: string(id), What: what, Images: c.images.names(m.DiffID),
			Repair: "move it to the trash, and the cache records that need it",
		},
		still: there(dir), repair: c.away(dir),
	}
	if blob, ok := c.images.blobs[m.DiffID]; ok && blob.Digest != m.DiffID && !c.badBlobs[blob.Digest] {
		f.Repair += "; it is unpacked again when it is needed"
	} else {
		f.Advice = c.images.advice(f.Images)
	}
	c.mu.Lock()
	c.badTrees[id] = true
	c.mu.Unlock()
	c.add(f)
	return nil
}

// treeFault says what is wrong with a layer's tree, "" if nothing is.
func (c *checker) treeFault(ctx context.Context, dir string, m layerMeta) (string, error) {
	tree := filepath.Join(dir, "fs")
	st, err := os.Lstat(tree)
	if err != nil || !st.IsDir() {
		if _, err := os.Lstat(dir); gone(err) {
			return "", nil
		}
		return "has no tree", nil
	}
	if c.o.Quick || m.DiffID == "" {
		return "", nil
	}
	c.tell("layer " + filepath.Base(dir))
	want, size := m.DiffID, m.Size
	if !m.Exact {
		if want, size, err = c.unpackAgain(ctx, m); err != nil || want == "" {
			return "", err
		}
	}
	got, n, err := layer.DiffDigest(ctx, tree, layer.DiffOptions{})
	if err != nil {
		if _, lerr := os.Lstat(dir); ctx.Err() != nil || gone(lerr) {
			return "", ctx.Err()
		}
		return "cannot be read: " + err.Error(), nil
	}
	if got != want || n != size {
		return fmt.Sprintf("is not what it was: it gives the tar %s of %d bytes, not %s of %d", got, n, want, size), nil
	}
	return "", nil
}

// unpackAgain gives digest and size of the tar of a tree that was unpacked from a
// foreign one, "" if that cannot be found out: without the blob, or when the
// tree depends on the layers below it.
func (c *checker) unpackAgain(ctx context.Context, m layerMeta) (digest.Digest, int64, error) {
	d, ok := c.images.blobs[m.DiffID]
	if !ok || m.On != "" {
		return "", 0, nil
	}
	p, err := c.store.blobPath(d.Digest)
	if err != nil {
		return "", 0, err
	}
	blob, err := os.Open(p)
	if err != nil {
		return "", 0, nil
	}
	defer blob.Close()
	dir, err := c.store.TempDir(ctx, "check-")
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.ENOSPC) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, err
	}
	defer removeAll(dir)
	tree := filepath.Join(dir, "fs")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return "", 0, err
	}
	if _, err := (unpacking{blob: d, diffID: m.DiffID}).apply(ctx, blob, tree); err != nil {
		return "", 0, ctx.Err() // the blob's own check tells what is wrong with it
	}
	return layer.DiffDigest(ctx, tree, layer.DiffOptions{})
}

// checkIndex verifies that diffIDs lead to their layers and layers are led to.
func (c *checker) checkIndex(context.Context) error {
	err := c.store.eachFile("diffids", func(path string) error {
		if !c.danglingEntry(path) {
			return nil
		}
		c.add(&finding{
			Problem: Problem{
				Kind: "index", Object: c.rel(path), What: "leads to no layer with this diff id",
				Repair: "remove it", Leftover: true,
			},
			still:  func() bool { return c.danglingEntry(path) },
			repair: c.away(path),
		})
		return nil
	})
	if err != nil {
		return err
	}
	all, err := c.store.allLayers()
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.DiffID == "" || c.badTrees[x.ID] || c.indexed(x) {
			continue
		}
		c.add(&finding{
			Problem: Problem{
				Kind: "index", Object: c.rel(c.store.diffIDPath(x.DiffID, x.On)), What: "is missing: layer " + string(x.ID) + " has this diff id",
				Repair: "write it", Leftover: true,
			},
			still:  func() bool { return c.store.hasLayer(x.ID) && !c.indexed(x) },
			repair: func(context.Context) error { return c.store.reindex(x) },
		})
	}
	return nil
}

func (c *checker) danglingEntry(path string) bool {
	id, err := os.ReadFile(path)
	if err != nil {
		return !gone(err)
	}
	dir, err := c.store.layerDir(LayerID(id))
	if err != nil {
		return true
	}
	m, err := readMeta(dir)
	return err != nil || c.store.diffIDPath(m.DiffID, m.On) != path || c.badTrees[LayerID(id)] && c.o.Repair
}

// indexed says whether x's diffID leads to x, or to another layer of it.
func (c *checker) indexed(x indexed) bool {
	_, err := c.store.lookUp(x.DiffID, x.On)
	return err == nil
}
