package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// defaultChunk is the chunk size where chunks have to be used.
const defaultChunk = 16 << 20

// pushBlob sends a blob, more than once if it can be read again.
func (r *Repository) pushBlob(ctx context.Context, d image.Descriptor, rd io.Reader) error {
	seeker, _ := rd.(io.Seeker)
	for try := 0; ; try++ {
		err := r.upload(ctx, d, rd)
		var broken *temporaryError
		if err == nil || !errors.As(err, &broken) || ctx.Err() != nil {
			return err
		}
		r.setChunked()
		if seeker == nil || try >= r.host.o.Retries {
			return err
		}
		if _, serr := seeker.Seek(0, io.SeekStart); serr != nil {
			return err
		}
		if err := sleep(ctx, r.host.o.RetryDelay<<min(try, 10)); err != nil {
			return err
		}
	}
}

// A temporaryError is worth another attempt with the blob from its beginning.
type temporaryError struct{ err error }

func (e *temporaryError) Error() string   { return e.err.Error() }
func (e *temporaryError) Unwrap() error   { return e.err }
func (e *temporaryError) Temporary() bool { return true }

// upload sends a blob once.
func (r *Repository) upload(ctx context.Context, d image.Descriptor, rd io.Reader) error {
	if r.keeps(d) {
		return r.uploadKept(ctx, d, rd)
	}
	resp, err := r.host.do(ctx, http.MethodPost, r.url("blobs", "uploads/"), nil, nil)
	if err != nil {
		return err
	}
	resp.Body.Close()
	at, err := r.location(resp)
	if err != nil {
		return err
	}
	src := content.Verified(rd, d)
	if size := r.chunkSize(resp); size > 0 && size < d.Size {
		err = r.sendChunks(ctx, at, d, src, chunks{size: size})
	} else {
		err = r.sendWhole(ctx, at, d, src)
	}
	if err != nil {
		r.cancel(ctx, resp)
	}
	return err
}

// sendWhole is PUT with the blob as its body.
func (r *Repository) sendWhole(ctx context.Context, at *url.URL, d image.Descriptor, src io.Reader) error {
	track := &tracker{r: src}
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	resp, err := r.host.do(ctx, http.MethodPut, withDigest(at, d), header, &body{r: track, size: d.Size})
	srcErr := track.stop()
	if err == nil {
		return resp.Body.Close()
	}
	var refused *Error
	switch {
	case srcErr != nil:
		return srcErr // the source's fault, not the registry's
	case errors.As(err, &refused):
		if refused.Temporary() || refused.Status == http.StatusRequestEntityTooLarge || refused.Status == http.StatusUnauthorized {
			return &temporaryError{err}
		}
		return err
	case ctx.Err() == nil:
		return &temporaryError{err}
	}
	return err
}

// chunks say how sendChunks sends.
type chunks struct {
	size int64
	sent int64          // what the registry has already
	keep func(*url.URL) // nil, or told after each chunk where the upload goes on
}

// sendChunks is PATCH for each chunk and PUT at the end.
func (r *Repository) sendChunks(ctx context.Context, at *url.URL, d image.Descriptor, src io.Reader, c chunks) error {
	buf := make([]byte, c.size)
	sent := c.sent
	for sent < d.Size {
		n, err := io.ReadFull(src, buf[:min(c.size, d.Size-sent)])
		if err != nil {
			return err
		}
		if at, err = r.sendChunk(ctx, at, sent, buf[:n]); err != nil {
			return err
		}
		sent += int64(n)
		if c.keep != nil {
			c.keep(at)
		}
	}
	// The verdict on the digest comes with the end of the stream.
	if _, err := src.Read(buf[:1]); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("blob goes on after %d bytes: %w", sent, errs.ErrDigest)
		}
		return err
	}
	resp, err := r.host.do(ctx, http.MethodPut, withDigest(at, d), nil, bytesBody(nil))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// sendChunk sends bytes from offset on and gives the next location. If the
// connection breaks the registry is asked how far it got.
func (r *Repository) sendChunk(ctx context.Context, at *url.URL, offset int64, chunk []byte) (*url.URL, error) {
	end := offset + int64(len(chunk))
	for try := 0; ; try++ {
		header := http.Header{
			"Content-Type":  {"application/octet-stream"},
			"Content-Range": {fmt.Sprintf("%d-%d", offset, end-1)},
		}
		resp, err := r.host.do(ctx, http.MethodPatch, at, header, bytesBody(chunk[len(chunk)-int(end-offset):]))
		if err == nil {
			resp.Body.Close()
			return r.location(resp)
		}
		if try >= r.host.o.Retries || ctx.Err() != nil || !worthAsking(err) {
			return nil, err
		}
		if serr := sleep(ctx, r.host.o.RetryDelay<<min(try, 10)); serr != nil {
			return nil, serr
		}
		next, have, qerr := r.progress(ctx, at)
		if qerr != nil {
			return nil, errors.Join(err, qerr)
		}
		if have < offset || have > end {
			return nil, &temporaryError{fmt.Errorf("registry has %d bytes, %d were sent: %w", have, offset, err)}
		}
		at, offset = next, have
		if offset == end {
			return at, nil
		}
	}
}

// worthAsking says whether an upload may go on after err.
func worthAsking(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Temporary() || refused.Status == http.StatusRequestedRangeNotSatisfiable
	}
	return true
}

// progress asks how much of an upload the registry has.
func (r *Repository) progress(ctx context.Context, at *url.URL) (*url.URL, int64, error) {
	resp, err := r.host.do(ctx, http.MethodGet, at, nil, nil)
	if err != nil {
		return nil, 0, err
	}
	resp.Body.Close()
	_, last, ok := strings.Cut(resp.Header.Get("Range"), "-")
	if !ok {
		return at, 0, nil
	}
	n, err := strconv.ParseInt(last, 10, 64)
	if err != nil || n < 0 {
		return nil, 0, fmt.Errorf("upload range %q: %w", clean(resp.Header.Get("Range")), errs.ErrInvalid)
	}
	if resp.Header.Get("Location") != "" {
		if at, err = r.location(resp); err != nil {
			return nil, 0, err
		}
	}
	if n > 0 {
		n++ // 0-0 is what registries say of none
	}
	return at, n, nil
}

// cancel gives the registry its upload back; it does not matter if that fails.
func (r *Repository) cancel(ctx context.Context, resp *http.Response) {
	if at, err := r.location(resp); err == nil {
		r.cancelAt(ctx, at)
	}
}

func (r *Repository) cancelAt(ctx context.Context, at *url.URL) {
	if ctx.Err() != nil {
		return
	}
	if resp, err := r.host.do(ctx, http.MethodDelete, at, nil, nil); err == nil {
		resp.Body.Close()
	}
}

// location is where an upload goes on. A registry behind a TLS proxy may think
// that it is reached by http: at its own name the scheme stays ours, so that no
// token goes out in the clear.
func (r *Repository) location(resp *http.Response) (*url.URL, error) {
	u, err := resp.Request.URL.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return nil, fmt.Errorf("upload location %q: %w", clean(resp.Header.Get("Location")), errs.ErrInvalid)
	}
	if u.Host == resp.Request.URL.Host {
		u.Scheme = resp.Request.URL.Scheme
	}
	if u.Scheme != "https" && u.Scheme != resp.Request.URL.Scheme {
		return nil, fmt.Errorf("upload location %s is not secure: %w", redact(u), errs.ErrInvalid)
	}
	return u, nil
}

// chunkSize is how much to send at once; 0 is all.
func (r *Repository) chunkSize(resp *http.Response) int64 {
	size := r.host.o.ChunkSize
	r.mu.Lock()
	if size <= 0 && r.chunked && !r.whole {
		size = defaultChunk
	}
	r.mu.Unlock()
	if least, err := strconv.ParseInt(resp.Header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil && size > 0 {
		size = max(size, min(least, 8*defaultChunk))
	}
	return size
}

func (r *Repository) setChunked() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunked = true
}

// withDigest adds what closes an upload.
func withDigest(at *url.URL, d image.Descriptor) *url.URL {
	u := *at
	q := u.Query()
	q.Set("digest", d.Digest.String())
	u.RawQuery = q.Encode()
	return &u
}

// A tracker remembers the error of the reader below it. The transport may go on
// reading a body after it gave an answer: stop ends that, so that the reader
// below can be used again.
type tracker struct {
	mu      sync.Mutex
	r       io.Reader
	err     error
	stopped bool
}

// Read reads the reader below.
func (t *tracker) Read(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return 0, errStopped
	}
	n, err := t.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		t.err = err
	}
	return n, err
}

// stop gives the error of the reader below, if there was one.
func (t *tracker) stop() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	return t.err
}

var errStopped = errors.New("the upload is over")
