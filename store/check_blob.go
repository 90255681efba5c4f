//go:build linux

package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// checkBlobs verifies that every blob is where its digest says, and is what it says.
func (c *checker) checkBlobs(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	err := c.store.eachFile("blobs", func(path string) error {
		g.Go(func() error { return c.checkBlob(ctx, path) })
		return ctx.Err()
	})
	if werr := g.Wait(); werr != nil {
		return werr
	}
	return err
}

func (c *checker) checkBlob(ctx context.Context, path string) error {
	d := digestOf(path)
	want, err := c.store.blobPath(d)
	if err != nil || want != path {
		c.add(&finding{
			Problem: Problem{Kind: "blob", Object: c.rel(path), What: "is not named as blobs are", Repair: "move it to the trash"},
			still:   there(path), repair: c.away(path),
		})
		return nil
	}
	what, err := c.blobFault(ctx, path, d)
	if err != nil || what == "" {
		return err
	}
	f := &finding{
		Problem: Problem{Kind: "blob", Object: d.String(), What: what, Images: c.images.names(d), Repair: "move it to the trash"},
		still:   there(path), repair: c.away(path),
	}
	if x, err := c.store.exactTree(d); err == nil {
		f.Repair += "; layer tree " + string(x.ID) + " gives its bytes"
	} else {
		f.Advice = c.images.advice(f.Images)
	}
	c.mu.Lock()
	c.badBlobs[d] = true
	c.mu.Unlock()
	c.add(f)
	return nil
}

// blobFault says what is wrong with the blob d, "" if nothing is.
func (c *checker) blobFault(ctx context.Context, path string, d digest.Digest) (string, error) {
	f, err := os.Open(path)
	if gone(err) {
		return "", nil
	}
	if err != nil {
		return "cannot be read: " + err.Error(), nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !st.Mode().IsRegular() {
		return "is no file", nil
	}
	if size, ok := c.images.size(d); ok && size != st.Size() {
		return fmt.Sprintf("has %d bytes, an image says %d", st.Size(), size), nil
	}
	if c.o.Quick {
		return "", nil
	}
	c.tell("blob " + d.String())
	v := d.Verifier()
	if err := copyBlob(ctx, v, f); err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		return "cannot be read: " + err.Error(), nil
	}
	if !v.Verified() {
		return "has content with another digest", nil
	}
	return "", nil
}

// digestOf is the digest that a blob's path stands for.
func digestOf(path string) digest.Digest {
	alg := filepath.Base(filepath.Dir(filepath.Dir(path)))
	return digest.NewDigestFromEncoded(digest.Algorithm(alg), filepath.Base(path))
}
