package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

// Hosts says how registries are reached. Its methods are called when a registry is
// first talked to, and may be called concurrently.
type Hosts interface {
	// Mirrors lists where to look for a repository, in this order, before its own
	// registry is asked.
	Mirrors(domain, path string) ([]Mirror, error)
	// Host is how a host, as references or mirrors name it, is talked to.
	Host(name string) (Host, error)
	// Offline says that nothing may be asked, and why.
	Offline() (why string, offline bool)
}

// A Mirror is another place of a repository.
type Mirror struct {
	Host string // host or host:port
	Path string // of the repository there
	// Namespace, when not "", is the domain of the original, sent as the query ns to
	// a mirror that is one for many registries.
	Namespace string
	// Tags says that the mirror may be asked for what a tag stands for; otherwise
	// only for digests.
	Tags bool
}

// A Host is how a host is talked to. The zero value is the usual way.
type Host struct {
	Insecure   bool   // plain http, and certificates that nobody vouches for, are allowed
	Blocked    bool   // it must not be talked to
	CA         string // file of authorities, besides the system's
	ClientCert string // file of a certificate to show, with its key in ClientKey
	ClientKey  string
}

// ErrOffline is the error of what would need a network where there must be none.
var ErrOffline = errors.New("offline")

// downFor is how long a mirror that cannot be reached is left alone.
const downFor = time.Minute

// A mirrored is one mirror of a repository.
type mirrored struct {
	repo *Repository
	tags bool
}

// mirrors finds the mirrors of the repository, once.
func (r *Repository) mirrors() ([]mirrored, error) {
	if r.client == nil || r.client.o.Hosts == nil {
		return nil, nil
	}
	r.mirrorsOnce.Do(func() {
		list, err := r.client.o.Hosts.Mirrors(r.ref.Domain, r.ref.Path)
		r.mirrorsErr = err
		for _, m := range list {
			r.mirrorList = append(r.mirrorList, mirrored{
				repo: &Repository{host: r.client.host(m.Host), ref: ref.Ref{Domain: m.Host, Path: m.Path}, ns: m.Namespace},
				tags: m.Tags,
			})
		}
	})
	return r.mirrorList, r.mirrorsErr
}

// tryMirrors calls f for each mirror that is up, and then for the repository itself,
// until one succeeds. byTag leaves out those that are good for digests only.
func tryMirrors[T any](ctx context.Context, r *Repository, byTag bool, f func(*Repository) (T, error)) (T, error) {
	var none T
	list, err := r.mirrors()
	if err != nil {
		return none, err
	}
	var failed []string
	for _, m := range list {
		if byTag && !m.tags || m.repo.host.down() {
			continue
		}
		v, err := f(m.repo)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil || errors.Is(err, ErrOffline) {
			return none, err
		}
		m.repo.host.blame(err)
		failed = append(failed, fmt.Sprintf("mirror %s: %v", m.repo.ref.Name(), err))
	}
	v, err := f(r)
	if err != nil && len(failed) > 0 {
		err = fmt.Errorf("%w (before that %s)", err, strings.Join(failed, "; "))
	}
	return v, err
}

// A downtime is when a host could last not be reached.
type downtime struct {
	mu sync.Mutex
	at time.Time
}

func (h *host) down() bool {
	h.unreachable.mu.Lock()
	defer h.unreachable.mu.Unlock()
	return !h.unreachable.at.IsZero() && time.Since(h.unreachable.at) < downFor
}

// blame remembers that the host did not answer at all.
func (h *host) blame(err error) {
	var refused *Error
	if errors.As(err, &refused) && refused.Status < 500 || errors.Is(err, errs.ErrNotFound) || errors.Is(err, errs.ErrDigest) || errors.Is(err, errs.ErrUnsupported) {
		return
	}
	h.unreachable.mu.Lock()
	defer h.unreachable.mu.Unlock()
	h.unreachable.at = time.Now()
}

// Resolve asks the registry, or a mirror of it, what a tag or digest stands for.
func (r *Repository) Resolve(ctx context.Context, name string) (image.Descriptor, error) {
	name = r.identifier(name)
	_, derr := digest.Parse(name)
	return tryMirrors(ctx, r, derr != nil, func(r *Repository) (image.Descriptor, error) { return r.resolve(ctx, name) })
}

// Fetch opens a blob or manifest. When the connection breaks, or stalls, the reader
// asks for the rest. Where a mirror gave other bytes the reader's error says Temporary:
// the next Fetch asks the registry.
func (r *Repository) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	if r.distrusts(d.Digest) {
		return r.fetch(ctx, d)
	}
	return tryMirrors(ctx, r, false, func(from *Repository) (io.ReadCloser, error) {
		rc, err := from.fetch(ctx, d)
		if err != nil || from == r {
			return rc, err
		}
		if d.Size > image.MaxMetadata {
			return &mirrorReader{rc, r, d.Digest}, nil
		}
		// Of what is small all is looked at first.
		defer rc.Close()
		raw, err := io.ReadAll(rc)
		if err != nil {
			return nil, err
		}
		return content.Verify(io.NopCloser(bytes.NewReader(raw)), d), nil
	})
}

// A mirrorReader notices that a mirror gives the wrong bytes.
type mirrorReader struct {
	io.ReadCloser
	of     *Repository
	digest digest.Digest
}

func (m *mirrorReader) Read(p []byte) (int, error) {
	n, err := m.ReadCloser.Read(p)
	if errors.Is(err, errs.ErrDigest) {
		m.of.Distrust(m.digest)
		err = &temporaryError{fmt.Errorf("from a mirror: %w", err)}
	}
	return n, err
}

// Distrust makes a blob, or manifest, be asked for at the registry itself from now
// on: what a mirror gave for it was wrong.
func (r *Repository) Distrust(d digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.distrusted == nil {
		r.distrusted = map[digest.Digest]bool{}
	}
	r.distrusted[d] = true
}

func (r *Repository) distrusts(d digest.Digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.distrusted[d]
}

// FetchRange opens n bytes of a blob from off on. Nothing verifies them; there are n
// of them before io.EOF. A registry that does not give parts of blobs is
// errs.ErrUnsupported.
func (r *Repository) FetchRange(ctx context.Context, d image.Descriptor, off, n int64) (io.ReadCloser, error) {
	if r.distrusts(d.Digest) {
		return r.fetchRange(ctx, d, off, n)
	}
	return tryMirrors(ctx, r, false, func(r *Repository) (io.ReadCloser, error) { return r.fetchRange(ctx, d, off, n) })
}

// query is what a URL of the repository asks besides.
func (r *Repository) query() string {
	if r.ns == "" {
		return ""
	}
	return url.Values{"ns": {r.ns}}.Encode()
}
