package remote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// Push uploads a blob or manifest. A blob whose upload breaks is sent again, in
// chunks, if r is an io.Seeker; otherwise the error says Temporary, and the
// next Push of this Repository uses chunks.
func (r *Repository) Push(ctx context.Context, d image.Descriptor, rd io.Reader) error {
	if err := image.CheckDescriptor(d); err != nil {
		return fmt.Errorf("push to %s: %w", r.ref.FamiliarName(), err)
	}
	ctx = r.host.scoped(ctx, r.ref.Path, "pull", "push")
	var err error
	if isManifestType(d.MediaType) {
		err = r.pushManifest(ctx, d, rd)
	} else {
		err = r.pushBlob(ctx, d, rd)
	}
	if err != nil {
		return fmt.Errorf("push %s: %w", r.show(d.Digest.String()), err)
	}
	return nil
}

// Mount takes the blob from another repository of this registry. from is a
// path such as library/debian, or a whole reference to this registry.
func (r *Repository) Mount(ctx context.Context, d image.Descriptor, from string) (bool, error) {
	from = r.pathOf(from)
	if from == r.ref.Path || from == "" {
		return false, nil
	}
	ctx = r.host.scoped(ctx, r.ref.Path, "pull", "push")
	ctx = r.host.scoped(ctx, from, "pull")
	u := r.url("blobs", "uploads/")
	u.RawQuery = url.Values{"mount": {d.Digest.String()}, "from": {from}}.Encode()
	resp, err := r.host.do(ctx, http.MethodPost, u, nil, nil, http.StatusNotFound)
	if err != nil {
		return false, fmt.Errorf("mount %s from %s: %w", r.show(d.Digest.String()), from, err)
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusAccepted {
		r.cancel(ctx, resp) // it began an upload instead
	}
	return resp.StatusCode == http.StatusCreated, nil
}

// Tag gives a manifest that is in the repository a tag.
func (r *Repository) Tag(ctx context.Context, name string, d image.Descriptor) error {
	tag := r.identifier(name)
	ctx = r.host.scoped(ctx, r.ref.Path, "pull", "push")
	r.mu.Lock()
	raw, ok := r.recent[d.Digest]
	r.mu.Unlock()
	if !ok {
		var err error
		if raw, err = content.ReadAll(ctx, r, d); err != nil {
			return fmt.Errorf("tag %s: %w", r.show(tag), err)
		}
	}
	if _, err := r.putManifest(ctx, tag, d, raw); err != nil {
		return fmt.Errorf("tag %s: %w", r.show(tag), err)
	}
	return nil
}

func (r *Repository) pushManifest(ctx context.Context, d image.Descriptor, rd io.Reader) error {
	if d.Size > image.MaxMetadata {
		return fmt.Errorf("manifest of %d bytes: %w", d.Size, errs.ErrTooLarge)
	}
	raw, err := io.ReadAll(content.Verified(rd, d))
	if err != nil {
		return err
	}
	referred, err := r.putManifest(ctx, d.Digest.String(), d, raw)
	if err != nil {
		return err
	}
	r.remember(d, raw)
	if referred {
		return nil
	}
	return r.refer(ctx, d, raw)
}

// putManifest stores raw under a tag or its digest. It says whether the registry
// lists it among the referrers of its subject.
func (r *Repository) putManifest(ctx context.Context, name string, d image.Descriptor, raw []byte) (referred bool, err error) {
	header := http.Header{"Content-Type": {d.MediaType}}
	resp, err := r.host.do(ctx, http.MethodPut, r.url("manifests", name), header, bytesBody(raw))
	if err != nil {
		return false, err
	}
	resp.Body.Close()
	if said := resp.Header.Get("Docker-Content-Digest"); said != "" && d.Digest.Algorithm() == "sha256" && said != d.Digest.String() {
		return false, fmt.Errorf("registry stored it as %s: %w", clean(said), errs.ErrDigest)
	}
	return resp.Header.Get("OCI-Subject") != "", nil
}

// maxRecent bounds what remember keeps.
const maxRecent = 8

// remember keeps manifests that are likely to be tagged next.
func (r *Repository) remember(d image.Descriptor, raw []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.recent == nil || len(r.recent) >= maxRecent {
		r.recent = map[digest.Digest][]byte{}
	}
	r.recent[d.Digest] = raw
}

// pathOf is the repository path in from if it is at this registry.
func (r *Repository) pathOf(from string) string {
	domain := r.ref.Domain + "/"
	if len(from) > len(domain) && from[:len(domain)] == domain {
		return from[len(domain):]
	}
	return from
}

// bytesBody is a body that can be sent again.
func bytesBody(raw []byte) *body {
	return &body{
		r:    bytes.NewReader(raw),
		size: int64(len(raw)),
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil },
	}
}
