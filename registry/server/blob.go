package server

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/mica-build/mica/errs"
)

func (c *call) getBlob() error {
	d, err := digestIn(c.arg)
	if err != nil {
		return err
	}
	if c.r.Method == http.MethodHead {
		size, err := c.b.StatBlob(c.r.Context(), c.repo, d)
		if err != nil {
			return blobError(err)
		}
		c.blobHeader(d.String())
		c.w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		c.w.WriteHeader(http.StatusOK)
		return nil
	}
	f, err := c.b.Blob(c.r.Context(), c.repo, d)
	if err != nil {
		return blobError(err)
	}
	defer f.Close()
	c.blobHeader(d.String())
	http.ServeContent(c.w, c.r, "", time.Time{}, f)
	return nil
}

func (c *call) blobHeader(d string) {
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Docker-Content-Digest", d)
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", `"`+d+`"`)
	h.Set("Cache-Control", "max-age=31536000")
}

func (c *call) deleteBlob() error {
	d, err := digestIn(c.arg)
	if err != nil {
		return err
	}
	if err := c.b.DeleteBlob(c.r.Context(), c.repo, d); err != nil {
		return blobError(err)
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

func blobError(err error) error {
	if errors.Is(err, errs.ErrNotFound) {
		return apiError{http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry"}
	}
	return err
}
