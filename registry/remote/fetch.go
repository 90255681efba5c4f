package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// fetch opens a blob or manifest of this registry.
func (r *Repository) fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	if err := image.CheckDescriptor(d); err != nil {
		return nil, fmt.Errorf("fetch from %s: %w", r.ref.FamiliarName(), err)
	}
	dl, err := r.download(ctx, d, 0, d.Size)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.show(d.Digest.String()), err)
	}
	return content.Verify(dl, d), nil
}

// fetchRange opens part of a blob of this registry.
func (r *Repository) fetchRange(ctx context.Context, d image.Descriptor, off, n int64) (io.ReadCloser, error) {
	if err := image.CheckDescriptor(d); err != nil {
		return nil, fmt.Errorf("fetch from %s: %w", r.ref.FamiliarName(), err)
	}
	if off < 0 || n <= 0 || off > d.Size-n {
		return nil, fmt.Errorf("fetch %s: bytes %d to %d of %d: %w", r.show(d.Digest.String()), off, off+n, d.Size, errs.ErrInvalid)
	}
	dl, err := r.download(ctx, d, off, off+n)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", r.show(d.Digest.String()), err)
	}
	return dl, nil
}

// download begins to read the bytes of a blob from start to before end.
func (r *Repository) download(ctx context.Context, d image.Descriptor, start, end int64) (*download, error) {
	ctx, cancel := context.WithCancelCause(r.host.scoped(ctx, r.ref.Path, "pull"))
	dl := &download{r: r, d: d, ctx: ctx, cancel: cancel, n: start, end: end}
	dl.stall = time.AfterFunc(r.host.o.StallTimeout, dl.giveUp)
	dl.stall.Stop()
	if err := dl.connect(); err != nil {
		dl.Close()
		return nil, err
	}
	return dl, nil
}

var errStalled = errors.New("nothing came for too long")

// A download reads a body and connects again where it broke off.
type download struct {
	r      *Repository
	d      image.Descriptor
	ctx    context.Context // of the whole download: a reader has nowhere else to keep it
	cancel context.CancelCauseFunc
	stall  *time.Timer
	conn   atomic.Pointer[connection] // the one that body is of

	body  io.ReadCloser
	n     int64 // where the reader is in the blob
	end   int64 // where it stops
	tries int   // in a row that brought nothing
}

// A connection is one answer of several that make up a download.
type connection struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// giveUp ends a connection on which nothing comes any more.
func (dl *download) giveUp() {
	if c := dl.conn.Load(); c != nil {
		c.cancel(errStalled)
	}
}

// part says whether less than the blob is wanted: then one that gives all of it is no use.
func (dl *download) part() bool { return dl.end < dl.d.Size }

// connect asks for what is left.
func (dl *download) connect() error {
	header := accept()
	switch {
	case dl.part():
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", dl.n, dl.end-1))
	case dl.n > 0:
		header.Set("Range", fmt.Sprintf("bytes=%d-", dl.n))
	}
	if c := dl.conn.Load(); c != nil {
		c.cancel(nil)
	}
	c := &connection{}
	c.ctx, c.cancel = context.WithCancelCause(dl.ctx)
	dl.conn.Store(c)
	resp, err := dl.r.host.do(c.ctx, http.MethodGet, dl.r.url(kind(dl.d), dl.d.Digest.String()), header, nil)
	if err != nil {
		return err
	}
	skip := dl.n
	if resp.StatusCode == http.StatusPartialContent {
		start, ok := rangeStart(resp.Header.Get("Content-Range"))
		if !ok || start > dl.n {
			resp.Body.Close()
			return fmt.Errorf("registry sent range %q, asked from %d: %w", clean(resp.Header.Get("Content-Range")), dl.n, errs.ErrInvalid)
		}
		skip = dl.n - start
	} else if dl.part() {
		resp.Body.Close()
		return fmt.Errorf("registry gives no parts of blobs: %w", errs.ErrUnsupported)
	}
	dl.body = resp.Body
	if skip > 0 {
		if _, err := io.CopyN(io.Discard, dl.watched(), skip); err != nil {
			return err
		}
	}
	return nil
}

// Read gives bytes of the body, of the next one if this one breaks.
func (dl *download) Read(p []byte) (int, error) {
	for {
		if dl.n >= dl.end && dl.part() {
			return 0, io.EOF
		}
		if left := dl.end - dl.n; dl.part() && int64(len(p)) > left {
			p = p[:left]
		}
		n, err := dl.watched().Read(p)
		dl.n += int64(n)
		if n > 0 {
			dl.tries = 0
		}
		switch {
		case err == nil, dl.n >= dl.end && errors.Is(err, io.EOF):
			return n, err
		case n > 0:
			return n, nil // the error comes again
		}
		if err := dl.resume(err); err != nil {
			return 0, fmt.Errorf("%s: after %d of %d bytes: %w", dl.r.ref.FamiliarName(), dl.n, dl.d.Size, err)
		}
	}
}

// resume connects again after cause, unless that is no use.
func (dl *download) resume(cause error) error {
	if errors.Is(cause, io.EOF) {
		// The registry thinks that this was all, or something between cut it off.
		cause = fmt.Errorf("%w: %w", errs.ErrDigest, io.ErrUnexpectedEOF)
	}
	for {
		if err := context.Cause(dl.ctx); err != nil {
			return err
		}
		if dl.tries >= max(dl.r.host.o.Retries, 0) {
			return cause
		}
		wait := dl.r.host.o.RetryDelay << min(dl.tries, 10)
		dl.tries++
		if dl.body != nil {
			dl.body.Close()
			dl.body = nil
		}
		if err := sleep(dl.ctx, wait); err != nil {
			return err
		}
		err := dl.connect()
		if err == nil {
			return nil
		}
		var refused *Error
		if errors.As(err, &refused) && refused.Status == http.StatusRequestedRangeNotSatisfiable {
			return fmt.Errorf("the registry has no more: %w: %w", errs.ErrDigest, err)
		}
		if refused != nil {
			return err
		}
		cause = err
	}
}

// Close ends the download.
func (dl *download) Close() error {
	dl.stall.Stop()
	dl.cancel(context.Canceled)
	if dl.body == nil {
		return nil
	}
	return dl.body.Close()
}

// watched is the body under the stall timer.
func (dl *download) watched() io.Reader { return watched{dl} }

type watched struct{ dl *download }

// Read reads the body; if it takes too long the download ends.
func (w watched) Read(p []byte) (int, error) {
	if w.dl.body == nil {
		return 0, io.ErrUnexpectedEOF
	}
	w.dl.stall.Reset(w.dl.r.host.o.StallTimeout)
	n, err := w.dl.body.Read(p)
	w.dl.stall.Stop()
	if err != nil && errors.Is(context.Cause(w.dl.conn.Load().ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

// rangeStart reads the first number of "bytes 5-9/10".
func rangeStart(s string) (int64, bool) {
	s, ok := strings.CutPrefix(s, "bytes ")
	if !ok {
		return 0, false
	}
	first, _, ok := strings.Cut(s, "-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(first, 10, 64)
	return n, err == nil && n >= 0
}
