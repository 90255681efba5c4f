package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/mica-build/mica/image"
)

// A Growing is a blob that is still being made.
type Growing interface {
	io.ReaderAt
	// Wait waits until there are n bytes, or all. It says how many there are and, once
	// they are all, describes the blob; before that the description is zero.
	Wait(ctx context.Context, n int64) (have int64, whole image.Descriptor, err error)
}

// PushGrowing sends a blob in chunks while it is being made. key is the same for the
// same bytes, so that an upload can be gone on with as Resume says. It reports whether
// the registry got the blob from here: a blob of less than one chunk is not sent, nor is
// the rest of one that turns out to be there. A registry that takes no chunks, or an
// upload that breaks, is an error, and the blob can be sent by Push.
func (r *Repository) PushGrowing(ctx context.Context, key string, g Growing) (sent bool, err error) {
	r.mu.Lock()
	whole := r.whole
	r.mu.Unlock()
	if have, all, err := g.Wait(ctx, keptChunk); err != nil || whole || have < keptChunk || all.Digest != "" {
		return false, err
	}
	ctx = r.host.scoped(ctx, r.ref.Path, "pull", "push")
	u := Upload(forgetful{})
	if r.uploads != nil {
		if u, err = r.uploads.Begin(ctx, r.ref.Name()+"#"+key); err != nil {
			return false, err
		}
	}
	sent, err = r.sendGrowing(ctx, g, u)
	u.End(err == nil || isFinal(err))
	if err != nil {
		return false, fmt.Errorf("push %s while it is made: %w", r.show(key), err)
	}
	return sent, nil
}

func (r *Repository) sendGrowing(ctx context.Context, g Growing, u Upload) (bool, error) {
	at, sent, err := r.beginGrowing(ctx, g, u)
	if err != nil {
		return false, err
	}
	buf := make([]byte, keptChunk)
	asked := false
	for {
		have, all, err := g.Wait(ctx, sent+keptChunk)
		if err != nil {
			return false, err
		}
		if all.Digest != "" && !asked {
			asked = true
			if ok, err := r.Exists(ctx, all); ok || err != nil {
				r.cancelAt(ctx, at)
				return false, err
			}
		}
		if all.Digest != "" && sent == all.Size {
			resp, err := r.host.do(ctx, http.MethodPut, withDigest(at, all), nil, bytesBody(nil))
			if err != nil {
				return false, err
			}
			return true, resp.Body.Close()
		}
		n, err := g.ReadAt(buf[:min(keptChunk, have-sent)], sent)
		if err != nil && !(errors.Is(err, io.EOF) && n > 0) {
			return false, err
		}
		if at, err = r.sendChunk(ctx, at, sent, buf[:n]); err != nil {
			return false, r.noChunks(err)
		}
		sent += int64(n)
		u.Keep(at.String())
	}
}

// beginGrowing goes on with the upload that u remembers, or begins one.
func (r *Repository) beginGrowing(ctx context.Context, g Growing, u Upload) (*url.URL, int64, error) {
	if at, err := url.Parse(u.Location()); err == nil && u.Location() != "" {
		if at, sent, err := r.progress(ctx, at); err == nil {
			// What is made again has to come to where it was before.
			have, _, err := g.Wait(ctx, sent)
			if err != nil {
				return nil, 0, err
			}
			if have >= sent {
				return at, sent, nil
			}
		}
	}
	resp, err := r.host.do(ctx, http.MethodPost, r.url("blobs", "uploads/"), nil, nil)
	if err != nil {
		return nil, 0, err
	}
	resp.Body.Close()
	at, err := r.location(resp)
	return at, 0, err
}

// A forgetful is an upload that nobody remembers.
type forgetful struct{}

func (forgetful) Location() string { return "" }
func (forgetful) Keep(string)      {}
func (forgetful) End(bool)         {}
