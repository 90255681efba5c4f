package source

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// HTTPRequest names one file on a web server.
type HTTPRequest struct {
	// URL is absolute, http or https, and may hold user information.
	URL string
	// Attrs are the "http." attributes of an LLB source operation. An invalid
	// one is an error, an unknown one is ignored.
	Attrs map[string]string
}

// HTTPResult is what a request found.
type HTTPResult struct {
	// Digest is the sha256 of the body.
	Digest digest.Digest
	// Filename is the name that PlaceHTTP gives the file.
	Filename string
	// LastModified is the server's word, nil when it said nothing usable.
	LastModified *time.Time
	// Key is the canonical form of everything that decides what PlaceHTTP
	// writes; equal keys mean equal files. With a pinned checksum it does not
	// depend on the server, so that it is known without asking.
	Key string
	// Path is the body, a read-only file in the cache directory. Empty when
	// ResolveHTTP had no need to fetch it.
	Path string

	attrs httpAttrs
}

// ResolveHTTP finds out what the URL holds now. Where the request pins a
// checksum that is the answer, and no server is asked; otherwise it is
// FetchHTTP.
func (c *Client) ResolveHTTP(ctx context.Context, r HTTPRequest) (*HTTPResult, error) {
	a, err := parseHTTP(r)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", redactURL(r.URL), err)
	}
	if a.checksum == "" {
		return c.FetchHTTP(ctx, r)
	}
	return a.result(r.URL, httpRecord{Digest: a.checksum}), nil
}

// FetchHTTP makes sure that the body is in the cache and current: a body that
// was fetched before is revalidated by its entity tag, or by date and length
// where the server has no tags, and one whose pinned checksum matches is taken
// as it is. A body that does not have the pinned checksum gives an error that
// matches errs.ErrDigest; statuses 401 and 403 match errs.ErrUnauthorized, 404
// and 410 errs.ErrNotFound. Transient failures are tried again a few times.
func (c *Client) FetchHTTP(ctx context.Context, r HTTPRequest) (*HTTPResult, error) {
	res, err := c.fetchHTTP(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", redactURL(r.URL), err)
	}
	return res, nil
}

func (c *Client) fetchHTTP(ctx context.Context, r HTTPRequest) (*HTTPResult, error) {
	a, err := parseHTTP(r)
	if err != nil {
		return nil, err
	}
	entry, err := c.httpEntry(r.URL, a)
	if err != nil {
		return nil, err
	}
	l, err := acquire(ctx, entry.lockPath(), unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer l.release()

	old := entry.load()
	if old != nil && a.checksum != "" {
		if old.Digest == a.checksum {
			entry.touch(c.now())
			return a.placed(r.URL, *old, entry), nil
		}
		old = nil // whether it is current no longer matters
	}
	if rec, ok := c.bodies.recall(entry.id); ok && c.Once && old != nil && rec.Digest == old.Digest {
		return a.placed(r.URL, rec, entry), nil
	}
	d := download{client: c, url: r.URL, attrs: a, entry: entry}
	rec, err := d.run(ctx, old)
	if err != nil {
		return nil, err
	}
	c.bodies.note(entry.id, rec)
	return a.placed(r.URL, rec, entry), nil
}

func parseHTTP(r HTTPRequest) (httpAttrs, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return httpAttrs{}, fmt.Errorf("%w: %w", errs.ErrInvalid, plainCause(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return httpAttrs{}, fmt.Errorf("want an http or https URL: %w", errs.ErrInvalid)
	}
	return parseHTTPAttrs(r.Attrs)
}

// placed is the result with its body; result is the one without.
func (a httpAttrs) placed(rawURL string, rec httpRecord, e httpEntry) *HTTPResult {
	res := a.result(rawURL, rec)
	res.Path = e.bodyPath(rec.Digest)
	return res
}

func (a httpAttrs) result(rawURL string, rec httpRecord) *HTTPResult {
	h := http.Header{}
	if rec.Disposition != "" && a.checksum == "" {
		h.Set("Content-Disposition", rec.Disposition)
	}
	res := &HTTPResult{Digest: rec.Digest, Filename: fileName(rawURL, a.filename, h), attrs: a}
	if t, err := http.ParseTime(rec.LastModified); err == nil {
		res.LastModified = &t
	}
	res.Key = a.key(res)
	return res
}

func (a httpAttrs) key(res *HTTPResult) string {
	k := struct {
		Filename     string
		Perm         uint32
		UID, GID     int
		Digest       digest.Digest
		LastModified string        `json:",omitempty"`
		AuthSecret   string        `json:",omitempty"`
		Header       []headerField `json:",omitempty"`
	}{res.Filename, a.perm, a.uid, a.gid, res.Digest, "", a.authSecret, a.header}
	if res.LastModified != nil && a.checksum == "" {
		k.LastModified = res.LastModified.UTC().Format(http.TimeFormat)
	}
	raw, err := json.Marshal(k)
	if err != nil {
		panic("source: " + err.Error()) // strings and numbers always encode
	}
	return "http " + string(raw)
}
