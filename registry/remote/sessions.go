package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
)

// Uploads remembers how far uploads have come, for the time after this process.
type Uploads interface {
	// Begin waits until nobody else is at the upload called key, and gives what was
	// kept of it.
	Begin(ctx context.Context, key string) (Upload, error)
}

// An Upload is what is remembered of one upload.
type Upload interface {
	// Location is where it goes on, "" if it has not begun.
	Location() string
	// Keep remembers where it goes on.
	Keep(location string)
	// End lets go of it; with forget there is nothing to go on with.
	End(forget bool)
}

const (
	// keptSize is from which size on it is worth while to go on with an upload.
	keptSize = 16 << 20
	// keptChunk is how much is sent at once then. Some registries take no more.
	keptChunk = 4 << 20
)

// Resume makes uploads of large blobs go on where this, or another, process stopped,
// as u remembers. It is called before the first Push.
func (r *Repository) Resume(u Uploads) { r.uploads = u }

// uploadKept sends a blob in chunks and remembers each.
func (r *Repository) uploadKept(ctx context.Context, d image.Descriptor, rd io.Reader) error {
	u, err := r.uploads.Begin(ctx, r.ref.Name()+"@"+d.Digest.String())
	if err != nil {
		return err
	}
	err = r.sendKept(ctx, d, rd, u)
	u.End(err == nil || isFinal(err))
	return err
}

// isFinal says whether an upload cannot go on after err.
func isFinal(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && !refused.Temporary() && refused.Status != http.StatusUnauthorized
}

func (r *Repository) sendKept(ctx context.Context, d image.Descriptor, rd io.Reader, u Upload) error {
	// Somebody else may have been at it meanwhile.
	if ok, err := r.Exists(ctx, d); ok || err != nil {
		return err
	}
	src := content.Verified(rd, d)
	at, have := r.kept(ctx, d, u)
	if at == nil {
		resp, err := r.host.do(ctx, http.MethodPost, r.url("blobs", "uploads/"), nil, nil)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if at, err = r.location(resp); err != nil {
			return err
		}
		u.Keep(at.String())
	}
	if _, err := io.CopyN(io.Discard, src, have); err != nil {
		return err
	}
	err := r.sendChunks(ctx, at, d, src, chunks{size: keptChunk, sent: have, keep: func(at *url.URL) { u.Keep(at.String()) }})
	return r.noChunks(err)
}

// noChunks takes note of a registry that answers as if it knew no chunks.
func (r *Repository) noChunks(err error) error {
	var refused *Error
	if errors.As(err, &refused) && (refused.Status == http.StatusMethodNotAllowed || refused.Status == http.StatusNotImplemented || refused.Status == http.StatusBadRequest) {
		r.wantsWhole()
		return &temporaryError{err}
	}
	return err
}

// kept asks the registry how much it has of an upload that was remembered. nil: begin
// a new one.
func (r *Repository) kept(ctx context.Context, d image.Descriptor, u Upload) (*url.URL, int64) {
	at, err := url.Parse(u.Location())
	if err != nil || u.Location() == "" {
		return nil, 0
	}
	at, have, err := r.progress(ctx, at)
	if err != nil || have > d.Size {
		return nil, 0
	}
	return at, have
}

func (r *Repository) wantsWhole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.whole = true
}

// keeps says whether the upload of d is one to go on with.
func (r *Repository) keeps(d image.Descriptor) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.uploads != nil && !r.whole && d.Size >= keptSize
}
