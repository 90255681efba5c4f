package remote

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// A retrier repeats requests that failed for a while only and can be sent again.
type retrier struct {
	next http.RoundTripper
	o    *Options
}

// RoundTrip sends the request, and again as long as that makes sense.
func (t *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	for try := 0; ; try++ {
		resp, err := t.next.RoundTrip(req)
		again, wait := t.again(req, resp, err, try)
		if !again {
			return resp, err
		}
		next := req.Clone(ctx)
		if req.GetBody != nil {
			b, berr := req.GetBody()
			if berr != nil {
				return resp, err
			}
			next.Body = b
		}
		if resp != nil {
			_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
			resp.Body.Close()
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		req = next
	}
}

// again says whether to send the request once more, and after how long.
func (t *retrier) again(req *http.Request, resp *http.Response, err error, try int) (bool, time.Duration) {
	if try >= t.o.Retries || req.Context().Err() != nil {
		return false, 0
	}
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false, 0
	}
	wait := t.o.RetryDelay << min(try, 10)
	wait += rand.N(wait/2 + 1)
	if err != nil {
		return req.Method != http.MethodPatch && isDropped(err), wait
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if asked, ok := retryAfter(resp.Header.Get("Retry-After")); ok {
			return asked <= t.o.MaxRetryAfter, asked
		}
		return true, wait
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return req.Method != http.MethodPatch, wait
	}
	return false, 0
}

// isDropped says whether a connection went away under a request. Names that do
// not exist, refused connections and bad certificates do not get better.
func isDropped(err error) bool {
	var ne net.Error
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		(errors.As(err, &ne) && ne.Timeout() && !errors.Is(err, context.DeadlineExceeded))
}

// retryAfter reads seconds or a date.
func retryAfter(s string) (time.Duration, bool) {
	if n, err := strconv.ParseInt(s, 10, 32); err == nil && n >= 0 {
		return time.Duration(n) * time.Second, true
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(at)), true
	}
	return 0, false
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
