package server

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

// renewAfter is the age from which a link is renewed when somebody asks whether
// the blob is there: a manifest that needs it may come next, and the blob is not
// to be collected before, whatever becomes of the manifests that need it now.
const renewAfter = 5 * time.Minute

func (c *call) getBlob() error {
	d, err := digestIn(c.arg)
	if err != nil {
		return err
	}
	link, err := c.index.Blob(c.r.Context(), c.repo, d)
	if err != nil {
		return blobError(err)
	}
	if at, err := c.elsewhere(d); err != nil || at != "" {
		if err == nil {
			c.event(Event{Action: Pull, Kind: KindBlob, Digest: d, Size: link.Size})
			c.w.Header().Set("Docker-Content-Digest", d.String())
			http.Redirect(c.w, c.r, at, http.StatusTemporaryRedirect)
		}
		return err
	}
	f, err := c.blobs.Open(c.r.Context(), d)
	if err != nil {
		return blobError(err)
	}
	defer f.Close()
	c.event(Event{Action: Pull, Kind: KindBlob, Digest: d, Size: link.Size})
	c.blobHeader(d)
	w := c.paced()
	defer w.done()
	http.ServeContent(w, c.r, "", time.Time{}, f)
	return nil
}

// elsewhere is where the client can get the bytes, if not here.
func (c *call) elsewhere(d digest.Digest) (string, error) {
	r, ok := c.blobs.(storage.Redirecter)
	if !ok {
		return "", nil
	}
	return r.BlobURL(c.r.Context(), d)
}

func (c *call) headBlob() error {
	d, err := digestIn(c.arg)
	if err != nil {
		return err
	}
	link, err := c.index.Blob(c.r.Context(), c.repo, d)
	if err != nil {
		return blobError(err)
	}
	// Whoever asks does not push what is there: it had better be.
	if size, err := c.blobs.Stat(c.r.Context(), d); err != nil || size != link.Size {
		return blobError(errors.Join(errs.ErrNotFound, err))
	}
	if time.Since(link.Linked) > renewAfter && !c.o.ReadOnly() {
		if err := c.renew(d); err != nil {
			return blobError(err)
		}
	}
	c.blobHeader(d)
	c.w.Header().Set("Content-Length", strconv.FormatInt(link.Size, 10))
	c.w.WriteHeader(http.StatusOK)
	return nil
}

func (c *call) renew(d digest.Digest) error {
	return c.index.Update(c.r.Context(), c.repo, func(tx storage.Tx) error {
		link, err := tx.Blob(d)
		if err == nil {
			tx.Link(storage.Link{Digest: d, Size: link.Size})
		}
		return err
	})
}

func (c *call) blobHeader(d digest.Digest) {
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Docker-Content-Digest", d.String())
	h.Set("Accept-Ranges", "bytes")
	h.Set("ETag", `"`+d.String()+`"`)
	h.Set("Cache-Control", "max-age=31536000")
}

// deleteBlob takes a blob from the repository; one that a manifest needs stays.
func (c *call) deleteBlob() error {
	d, err := digestIn(c.arg)
	if err != nil {
		return err
	}
	err = c.index.Update(c.r.Context(), c.repo, func(tx storage.Tx) error {
		if _, err := tx.Blob(d); err != nil {
			return err
		}
		if users := tx.Users(d); len(users) > 0 {
			return conflict("blob is part of manifest " + users[0].String() + ", which has to be deleted first")
		}
		tx.Unlink(d)
		return nil
	})
	if err != nil {
		return blobError(err)
	}
	c.event(Event{Action: Delete, Kind: KindBlob, Digest: d})
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

func conflict(message string) error { return apiError{http.StatusConflict, "DENIED", message} }

func blobError(err error) error {
	if errors.Is(err, errs.ErrNotFound) {
		return apiError{http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry"}
	}
	return err
}
