package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/mica-build/mica/errs"
)

// A body is what a request sends: a stream, and how to get it again if that is possible.
type body struct {
	r    io.Reader
	size int64
	open func() (io.ReadCloser, error) // nil: once only
}

// do sends one request and gives the answer if its status is a success. Wanted
// lists further statuses that are answers rather than errors.
// The path of u, if it has no host, is at the registry.
func (h *host) do(ctx context.Context, method string, u *url.URL, header http.Header, b *body, wanted ...int) (*http.Response, error) {
	if err := h.open(ctx); err != nil {
		return nil, err
	}
	at := *u
	if at.Host == "" {
		at.Scheme, at.Host = h.scheme, h.addr
	}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, redact(&at), err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if b != nil {
		req.Body, req.ContentLength, req.GetBody = io.NopCloser(b.r), b.size, b.open
		if b.size == 0 {
			req.Body = http.NoBody
		}
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, h.failure(req, err)
	}
	if (resp.StatusCode >= 200 && resp.StatusCode < 300) || slices.Contains(wanted, resp.StatusCode) {
		return resp, nil
	}
	return nil, h.refusal(req, resp)
}

// failure says why there was no answer, without the secrets that URLs may carry.
func (h *host) failure(req *http.Request, err error) error {
	var ue *url.Error
	for errors.As(err, &ue) {
		err = ue.Err
	}
	where := req.Method + " " + redact(req.URL)
	var status *tokenError
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fmt.Errorf("%s: %w: no credentials for %s (try `mica login %s`)", where, errs.ErrUnauthorized, h.name, h.name)
	case asTokenError(err, &status) && (status.code == http.StatusUnauthorized || status.code == http.StatusForbidden):
		return fmt.Errorf("%s: %w: token server: %s (try `mica login %s`)", where, errs.ErrUnauthorized, status.text, h.name)
	case status != nil:
		return fmt.Errorf("%s: token server: %s", where, status.text)
	}
	return fmt.Errorf("%s: %w", where, err)
}

// redact is u without what may be secret: user information and query.
func redact(u *url.URL) string {
	v := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	return v.String()
}

// scoped asks for a token with these rights, if tokens are wanted at all.
func (h *host) scoped(ctx context.Context, repository string, actions ...string) context.Context {
	return auth.AppendScopesForHost(ctx, h.addr, auth.ScopeRepository(repository, actions...))
}
