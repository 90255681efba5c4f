package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
)

// startUpload mounts a blob, takes a whole one, or begins an upload.
func (c *call) startUpload() error {
	q := c.r.URL.Query()
	if alg := q.Get("digest-algorithm"); alg != "" && !digest.Algorithm(alg).Available() {
		return apiError{http.StatusBadRequest, "DIGEST_INVALID", "unsupported digest algorithm"}
	}
	if mount := q.Get("mount"); mount != "" && q.Get("from") != "" {
		d, err := digestIn(mount)
		if err != nil {
			return err
		}
		err = c.b.MountBlob(c.r.Context(), c.repo, q.Get("from"), d)
		if err == nil {
			c.created(d)
			return nil
		}
		if !errors.Is(err, errs.ErrNotFound) {
			return err
		}
	}
	var want digest.Digest
	if s := q.Get("digest"); s != "" {
		var err error
		if want, err = digestIn(s); err != nil {
			return err
		}
	}
	id, err := c.b.StartUpload(c.r.Context(), c.repo)
	if err != nil {
		return err
	}
	c.arg = id
	if want != "" {
		return c.finish(want, 0)
	}
	c.uploading(http.StatusAccepted, 0)
	return nil
}

func (c *call) getUpload() error {
	n, err := c.b.Upload(c.r.Context(), c.repo, c.arg)
	if err != nil {
		return uploadError(err)
	}
	c.uploading(http.StatusNoContent, n)
	return nil
}

func (c *call) patchUpload() error {
	n, err := c.b.Upload(c.r.Context(), c.repo, c.arg)
	if err != nil {
		return uploadError(err)
	}
	if err := c.checkRange(n); err != nil {
		return err
	}
	n, err = c.b.WriteUpload(c.r.Context(), c.repo, c.arg, n, c.body(n))
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
	n, err := c.b.Upload(c.r.Context(), c.repo, c.arg)
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
	if _, err := c.b.WriteUpload(c.r.Context(), c.repo, c.arg, offset, c.body(offset)); err != nil {
		return uploadError(err)
	}
	if err := c.b.FinishUpload(c.r.Context(), c.repo, c.arg, d); err != nil {
		return uploadError(err)
	}
	c.created(d)
	return nil
}

func (c *call) deleteUpload() error {
	if err := c.b.CancelUpload(c.r.Context(), c.repo, c.arg); err != nil {
		return uploadError(err)
	}
	c.w.WriteHeader(http.StatusNoContent)
	return nil
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

// body is what the client sends, within bounds.
func (c *call) body(have int64) io.Reader {
	if c.o.MaxBlob <= 0 {
		return c.r.Body
	}
	return &bounded{r: c.r.Body, left: c.o.MaxBlob - have}
}

// bounded fails when more comes than there is room for.
type bounded struct {
	r    io.Reader
	left int64
}

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
