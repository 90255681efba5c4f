package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mica-build/mica/errs"
)

// A download is one exchange with a web server about one URL.
type download struct {
	client *Client
	url    string
	attrs  httpAttrs
	entry  httpEntry
}

// Attempts at a download, and the pause after the first failure, which doubles.
const (
	downloadAttempts = 3
	downloadPause    = 200 * time.Millisecond
)

// A transientError may go away when the request is made again.
type transientError struct{ error }

func (e *transientError) Unwrap() error { return e.error }

// run gives the current record of the URL: old if the server says that it is
// still good, else that of the body it sent.
func (d download) run(ctx context.Context, old *httpRecord) (httpRecord, error) {
	for attempt := 1; ; attempt++ {
		rec, err := d.try(ctx, old)
		var again *transientError
		if err == nil || !errors.As(err, &again) || attempt == downloadAttempts || ctx.Err() != nil {
			return rec, err
		}
		pause := downloadPause << (attempt - 1)
		d.client.log().Debug("download failed, trying again", "url", redactURL(d.url), "err", err, "pause", pause)
		select {
		case <-ctx.Done():
			return rec, err
		case <-time.After(pause):
		}
	}
}

func (d download) try(ctx context.Context, old *httpRecord) (httpRecord, error) {
	req, err := d.request(ctx)
	if err != nil {
		return httpRecord{}, err
	}
	if old != nil && d.unchanged(req, *old) {
		d.entry.touch(d.client.now())
		return *old, nil
	}
	if old != nil && old.ETag != "" {
		req.Header.Set("If-None-Match", old.ETag)
	}
	resp, err := d.http().Do(req)
	if err != nil {
		return httpRecord{}, &transientError{plainCause(err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified && old != nil && old.ETag != "" {
		d.entry.touch(d.client.now())
		return *old, nil
	}
	if err := statusError(resp); err != nil {
		return httpRecord{}, err
	}
	return d.entry.save(resp.Body, d.record(resp), d.attrs.checksum)
}

// unchanged asks with HEAD whether the body in the cache is still the current
// one. Some servers hand out entity tags but ignore If-None-Match, so tags are
// compared here; where there are none, an equal date and length must do. Any
// failure means no: GET then tells.
func (d download) unchanged(req *http.Request, old httpRecord) bool {
	if old.ETag == "" && (old.LastModified == "" || old.Length < 0) {
		return false
	}
	head := req.Clone(req.Context())
	head.Method = http.MethodHead
	// Go adds this by itself to GET only, and a server's tag may depend on it.
	head.Header.Set("Accept-Encoding", "gzip")
	if old.ETag != "" {
		head.Header.Set("If-None-Match", old.ETag)
	}
	resp, err := d.http().Do(head)
	if err != nil {
		return false
	}
	resp.Body.Close()
	tag := strongTag(resp.Header.Get("ETag"))
	switch {
	case resp.StatusCode == http.StatusNotModified:
		return old.ETag != "" && (tag == "" || tag == strongTag(old.ETag))
	case resp.StatusCode != http.StatusOK:
		return false
	case old.ETag != "":
		return tag == strongTag(old.ETag)
	}
	return tag == "" && resp.Header.Get("Last-Modified") == old.LastModified && resp.ContentLength == old.Length
}

// strongTag is the tag without its weakness mark, which servers put on and take
// off as they compress.
func strongTag(tag string) string { return strings.TrimPrefix(tag, "W/") }

func (d download) record(resp *http.Response) httpRecord {
	return httpRecord{
		URL:          redactURL(d.url),
		ETag:         resp.Header.Get("ETag"),
		LastModified: resp.Header.Get("Last-Modified"),
		Disposition:  resp.Header.Get("Content-Disposition"),
		Length:       resp.ContentLength,
	}
}

func statusError(resp *http.Response) error {
	err := fmt.Errorf("server answered %s", resp.Status)
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: %w", err, errs.ErrUnauthorized)
	case code == http.StatusNotFound, code == http.StatusGone:
		return fmt.Errorf("%w: %w", err, errs.ErrNotFound)
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500 && code != http.StatusNotImplemented:
		return &transientError{err}
	}
	return err
}

// request builds the GET with the user's headers and credentials: the secret
// the request names, which must exist, else those named after the host.
func (d download) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errs.ErrInvalid, plainCause(err))
	}
	req.Header.Set("User-Agent", "mica")
	for _, f := range d.attrs.header {
		req.Header.Set(f.Name, f.Value)
	}
	auth, err := d.authorization(ctx, req.URL)
	if err != nil {
		return nil, err
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	return req, nil
}

func (d download) authorization(ctx context.Context, u *url.URL) (string, error) {
	if id := d.attrs.authSecret; id != "" {
		v, ok, err := d.client.secret(ctx, id)
		if err == nil && !ok {
			err = fmt.Errorf("secret %s: %w", id, errs.ErrNotFound)
		}
		return v, err
	}
	token, ok, err := d.client.secret(ctx, "HTTP_AUTH_TOKEN_"+u.Hostname())
	if err != nil || ok {
		return "Bearer " + token, err
	}
	header, _, err := d.client.secret(ctx, "HTTP_AUTH_HEADER_"+u.Hostname())
	return header, err
}

// http gives the client, which on a redirect away from TLS leaves credentials
// behind; net/http does so by itself only when the host changes.
func (d download) http() *http.Client {
	hc := http.Client{}
	if d.client.HTTP != nil {
		hc = *d.client.HTTP
	}
	if hc.Transport == nil {
		hc.Transport = http.DefaultTransport
	}
	hc.Transport = guarded{d.client, hc.Transport}
	inner := hc.CheckRedirect
	hc.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
			req.Header.Del("Authorization")
		}
		if inner != nil {
			return inner(req, via)
		}
		if len(via) >= 10 {
			return errors.New("more than 10 redirects")
		}
		return nil
	}
	return &hc
}
