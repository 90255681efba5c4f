package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/mica-build/mica/errs"
)

// Secrets gives the values of the build's secrets. An id that the user did not
// provide gives an error that matches errs.ErrNotFound.
type Secrets interface {
	Secret(ctx context.Context, id string) ([]byte, error)
}

// SSH gives the path of the socket of the agent forwarded under an id. An id
// that the user did not forward gives an error that matches errs.ErrNotFound.
type SSH interface {
	Agent(ctx context.Context, id string) (sock string, err error)
}

// Client fetches sources. CacheDir must be set; every other field may be zero.
type Client struct {
	// CacheDir keeps bodies, validators and git mirrors between builds. It is
	// created when needed and may be shared between processes. Best on the
	// filesystem that receives checkouts: they are then moved, not copied.
	CacheDir string
	// HTTP sends requests. Nil means a client with Go's default transport.
	HTTP *http.Client
	// Secrets answers for credentials. Nil means there are none.
	Secrets Secrets
	// SSH answers for agents. Nil means none is forwarded.
	SSH SSH
	// AllowLocal lets a git request name a repository on this machine, as
	// file:// URL or absolute path. Off, such a request is refused, as builds
	// may come from people who must not read this machine's files.
	AllowLocal bool
	// Once makes the client ask a server only once about each URL and each ref,
	// so that all steps of the build it serves see the same answer.
	Once bool
	// Offline, when not nil, says why no server may be asked; "" is that it may.
	Offline func() string
	// Git is the git program. Empty means git from PATH.
	Git string
	// Log receives what is worth knowing afterwards. Nil discards.
	Log *slog.Logger
	// Now is the clock. Nil means time.Now.
	Now func() time.Time

	bodies memo[httpRecord]
	refs   memo[GitResult]
}

// refuse is the error of asking a server where none may be asked.
func (c *Client) refuse(url string) error {
	if c.Offline == nil {
		return nil
	}
	if why := c.Offline(); why != "" {
		return fmt.Errorf("%s is not fetched: offline (%s): %w", url, why, errs.ErrUnsupported)
	}
	return nil
}

// guarded refuses requests where no server may be asked.
type guarded struct {
	client *Client
	next   http.RoundTripper
}

// RoundTrip sends the request, or refuses.
func (g guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := g.client.refuse(req.URL.Redacted()); err != nil {
		return nil, err
	}
	return g.next.RoundTrip(req)
}

func (c *Client) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

// subdir gives a directory below CacheDir, created when missing. The cache may
// hold private sources, so nobody else may look inside.
func (c *Client) subdir(name string) (string, error) {
	if c.CacheDir == "" {
		return "", fmt.Errorf("source cache: no directory given: %w", errs.ErrInvalid)
	}
	dir := filepath.Join(c.CacheDir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("source cache: %w", err)
	}
	return dir, nil
}

// secret gives a secret without the line end that files tend to have; ok is
// false when the user provided none of that id.
func (c *Client) secret(ctx context.Context, id string) (value string, ok bool, err error) {
	if c.Secrets == nil {
		return "", false, nil
	}
	raw, err := c.Secrets.Secret(ctx, id)
	switch {
	case errors.Is(err, errs.ErrNotFound):
		return "", false, nil
	case err != nil:
		return "", false, fmt.Errorf("secret %s: %w", id, err)
	}
	for len(raw) > 0 && (raw[len(raw)-1] == '\n' || raw[len(raw)-1] == '\r') {
		raw = raw[:len(raw)-1]
	}
	return string(raw), true, nil
}
