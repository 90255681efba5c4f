package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

// startUpload mounts a blob, takes a whole one, or begins an upload.
func (c *call) startUpload() error {
	q := c.r.URL.Query()
	if s := q.Get("mount"); s != "" {
		done, err := c.mount(s, q.Get("from"))
		if done || err != nil {
			return err
		}
	}
	alg, want, err := announced(q)
	if err != nil {
		return err
	}
	id, err := c.blobs.Start(c.r.Context(), c.repo, alg)
	if err != nil {
		return err
	}
	c.arg = id
	if want == "" {
		c.uploading(http.StatusAccepted, 0)
		return nil
	}
	if err := c.finish(want, 0); err != nil {
		c.cancel() // nobody knows its name
		return err
	}
	return nil
}

// announced is the algorithm, and perhaps the digest, that an upload will have.
func announced(q url.Values) (alg digest.Algorithm, want digest.Digest, err error) {
	alg = digest.Canonical
	if s := q.Get("digest-algorithm"); s != "" {
		if alg = digest.Algorithm(s); !alg.Available() {
			return alg, "", apiError{http.StatusBadRequest, "DIGEST_INVALID", "unsupported digest algorithm"}
		}
	}
	if s := q.Get("digest"); s != "" {
		if want, err = digestIn(s); err != nil {
			return alg, "", err
		}
		alg = want.Algorithm()
	}
	return alg, want, nil
}

// mount gives the repository a blob of another one, which is from or, where that
// is "", any that the caller may see. It says whether that was the answer.
func (c *call) mount(s, from string) (bool, error) {
	d, err := digestIn(s)
	if err != nil {
		return false, err
	}
	sources := []string{from}
	if from == "" {
		if sources, err = c.index.Holders(c.r.Context(), d); err != nil {
			return false, err
		}
	}
	for _, source := range sources {
		link, err := c.index.Blob(c.r.Context(), source, d)
		if err == nil && c.visible(source) {
			err = c.addBlob(c.r.Context(), c.repo, storage.Link{Digest: d, Size: link.Size}, c.present(c.r.Context(), d, link.Size))
			if err == nil {
				c.event(Event{Action: Push, Kind: KindBlob, Digest: d, Size: link.Size, Mounted: source})
				c.created(d)
				return true, nil
			}
		}
		if err != nil && !errors.Is(err, errs.ErrNotFound) {
			return false, err
		}
	}
	return false, nil
}

// present fails with errBytesGone unless the bytes are there.
func (g *Registry) present(ctx context.Context, d digest.Digest, size int64) func() error {
	return func() error {
		have, err := g.blobs.Stat(ctx, d)
		if errors.Is(err, errs.ErrNotFound) || err == nil && have != size {
			return errBytesGone
		}
		return err
	}
}

// addBlob links a blob, whose bytes publish sees to.
func (g *Registry) addBlob(ctx context.Context, repo string, l storage.Link, publish func() error) error {
	return g.index.Update(ctx, repo, func(tx storage.Tx) error {
		tx.Link(l)
		for _, limit := range g.o.Limits(repo) {
			tx.Limit(limit)
		}
		tx.Publish(publish)
		return nil
	})
}

func (c *call) getUpload() error {
	n, err := c.blobs.Upload(c.r.Context(), c.repo, c.arg)
	if err != nil {
		return uploadError(err)
	}
	c.uploading(http.StatusNoContent, n)
	return nil
}

func (c *call) patchUpload() error {
	n, err := c.blobs.Upload(c.r.Context(), c.repo, c.arg)
	if err != nil {
		return uploadError(err)
	}
	if err := c.checkRange(n); err != nil {
		return err
	}
	n, err = c.blobs.Write(c.r.Context(), c.repo, c.arg, n, c.body(n, c.o.MaxBlob))
	if err != nil {
		return uploadError(err)
	}
	c.uploading(http.StatusAccepted, n)
	return nil
}

func (c *call) putUpload() error {
	d, err := digestIn(c.r.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	n, err := c.blobs.Upload(c.r.Context(), c.repo, c.arg)
	if err != nil {
		return uploadError(err)
	}
	if err := c.checkRange(n); err != nil {
		return err
	}
	return c.finish(d, n)
}

// finish appends the request's body and makes the upload a blob.
func (c *call) finish(d digest.Digest, offset int64) error {
	if offset == 0 && c.r.ContentLength > 0 {
		if size, err := c.blobs.Stat(c.r.Context(), d); err == nil && size == c.r.ContentLength {
			return c.prove(d, size)
		}
	}
	if c.r.ContentLength != 0 {
		if _, err := c.blobs.Write(c.r.Context(), c.repo, c.arg, offset, c.body(offset, c.o.MaxBlob)); err != nil {
			return uploadError(err)
		}
	}
	f, err := c.blobs.Finish(c.r.Context(), c.repo, c.arg, d)
	if err != nil {
		return uploadError(err)
	}
	if err := c.addBlob(c.r.Context(), c.repo, storage.Link{Digest: d, Size: f.Size()}, f.Publish); err != nil {
		f.Discard()
		return err
	}
	c.event(Event{Action: Push, Kind: KindBlob, Digest: d, Size: f.Size()})
	c.created(d)
	return nil
}

// prove takes a whole blob whose bytes are here already, for another repository:
// the client has to show that it has them, and nothing is written.
func (c *call) prove(d digest.Digest, size int64) error {
	v := d.Verifier()
	if _, err := io.Copy(v, c.body(0, c.o.MaxBlob)); err != nil {
		return err
	}
	c.cancel()
	if !v.Verified() {
		return uploadError(errs.ErrDigest)
	}
	err := c.addBlob(c.r.Context(), c.repo, storage.Link{Digest: d, Size: size}, c.present(c.r.Context(), d, size))
	if errors.Is(err, errBytesGone) { // it was collected at this very moment
		return apiError{http.StatusServiceUnavailable, "BLOB_UPLOAD_UNKNOWN", "blob was removed meanwhile; push it again"}
	}
	if err != nil {
		return err
	}
	c.event(Event{Action: Push, Kind: KindBlob, Digest: d, Size: size})
	c.created(d)
	return nil
}

func (c *call) deleteUpload() error {
	if err := c.blobs.Cancel(c.r.Context(), c.repo, c.arg); err != nil {
		return uploadError(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// cancel forgets the upload; should that fail, it expires.
func (c *call) cancel() {
	_ = c.blobs.Cancel(context.WithoutCancel(c.r.Context()), c.repo, c.arg)
}

// checkRange holds the client's Content-Range against where the upload stands.
func (c *call) checkRange(have int64) error {
	s := c.r.Header.Get("Content-Range")
	if s == "" {
		return nil
	}
	first, last, ok := strings.Cut(strings.TrimPrefix(s, "bytes "), "-")
	last, _, _ = strings.Cut(last, "/")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if !ok || err1 != nil || err2 != nil || from < 0 || to < from-1 {
		return apiError{http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "invalid Content-Range"}
	}
	length := c.r.ContentLength
	if from != have || (length >= 0 && length != to-from+1) {
		c.uploadHeader(have)
		return apiError{http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", fmt.Sprintf("upload has %d bytes", have)}
	}
	return nil
}

// body is what the client sends to what has bytes already, up to most of them; 0 is no bound.
func (c *call) body(have, most int64) io.Reader {
	r := io.Reader(&pacedReader{r: c.r.Body, control: http.NewResponseController(c.w), idle: c.o.Idle})
	if most <= 0 {
		return r
	}
	return &bounded{r: r, left: most - have}
}

// bounded fails when more comes than there is room for.
type bounded struct {
	r    io.Reader
	left int64
}

// Read reads on within the bound.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errs.ErrTooLarge
	}
	return n, err
}

func (c *call) uploading(status int, n int64) {
	c.uploadHeader(n)
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(status)
}

func (c *call) uploadHeader(n int64) {
	h := c.w.Header()
	h.Set("Location", "/v2/"+c.repo+"/blobs/uploads/"+c.arg)
	h.Set("Docker-Upload-UUID", c.arg)
	h.Set("Range", fmt.Sprintf("0-%d", max(n-1, 0)))
}

func (c *call) created(d digest.Digest) {
	h := c.w.Header()
	h.Set("Location", "/v2/"+c.repo+"/blobs/"+d.String())
	h.Set("Docker-Content-Digest", d.String())
	h.Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusCreated)
}

func uploadError(err error) error {
	switch {
	case errors.Is(err, errs.ErrNotFound):
		return apiError{http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"}
	case errors.Is(err, errs.ErrDigest):
		return apiError{http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content"}
	case errors.Is(err, errs.ErrInvalid), errors.Is(err, errs.ErrConflict):
		return apiError{http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "another request writes to this upload"}
	}
	return err
}
