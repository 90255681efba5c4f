package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

func (c *call) getManifest() error {
	tag, d, err := c.reference()
	if err != nil {
		return err
	}
	m, err := c.index.Manifest(c.r.Context(), c.repo, d)
	if err != nil {
		return manifestError(err)
	}
	raw, err := c.manifestBytes(m)
	if err != nil {
		return manifestError(err)
	}
	h := c.w.Header()
	h.Set("Docker-Content-Digest", d.String())
	etag := `"` + d.String() + `"`
	h.Set("ETag", etag)
	if noneMatch(c.r.Header.Values("If-None-Match"), etag) {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if c.r.Method == http.MethodGet {
		now := time.Now()
		c.index.Pulled(c.repo, tag, d, now)
		c.event(Event{Action: Pull, Kind: KindManifest, Digest: d, Tag: tag, MediaType: m.MediaType, Size: m.Size})
	}
	write(c.w, http.StatusOK, raw, m.MediaType)
	return nil
}

// noneMatch says whether the client has what etag stands for.
func noneMatch(lines []string, etag string) bool {
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// reference is the digest that the URL names, directly or by tag.
func (c *call) reference() (tag string, d digest.Digest, err error) {
	if ValidTag(c.arg) {
		t, err := c.index.Tag(c.r.Context(), c.repo, c.arg)
		return c.arg, t.Digest, manifestError(err)
	}
	if !strings.Contains(c.arg, ":") { // no tag has such a name
		return "", "", manifestError(errs.ErrNotFound)
	}
	d, err = digestIn(c.arg)
	return "", d, err
}

// manifestBytes reads a manifest, and verifies it when it comes from the disk.
func (g *Registry) manifestBytes(m storage.Manifest) ([]byte, error) {
	if raw := g.raw.get(m.Digest); raw != nil {
		return raw, nil
	}
	f, err := g.blobs.Open(context.Background(), m.Digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw := make([]byte, m.Size)
	if _, err := io.ReadFull(f, raw); err != nil {
		return nil, fmt.Errorf("read manifest %s: %w: %w", m.Digest, errs.ErrDigest, err)
	}
	if m.Digest.Algorithm().FromBytes(raw) != m.Digest {
		return nil, fmt.Errorf("read manifest %s: %w", m.Digest, errs.ErrDigest)
	}
	g.raw.put(m.Digest, raw)
	return raw, nil
}

func (c *call) deleteManifest() error {
	if ValidTag(c.arg) {
		return c.deleteTag()
	}
	d, err := digestIn(c.arg)
	if err != nil {
		return err
	}
	m, err := c.index.Manifest(c.r.Context(), c.repo, d)
	if err != nil {
		return manifestError(err)
	}
	f, err := c.fallbackWithout(c.r.Context(), c.repo, m)
	if err == nil && f != nil {
		err = f.stage(c.r.Context(), c.Registry, c.repo)
	}
	if err != nil {
		return err
	}
	if err := c.removeManifest(d, f); err != nil {
		if f != nil && f.done != nil {
			f.done.Discard()
		}
		return manifestError(err)
	}
	c.event(Event{Action: Delete, Kind: KindManifest, Digest: d})
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// removeManifest deletes a manifest that no index needs, but the one that f
// replaces.
func (c *call) removeManifest(d digest.Digest, f *fallback) error {
	return c.index.Update(c.r.Context(), c.repo, func(tx storage.Tx) error {
		if _, err := tx.Manifest(d); err != nil {
			return err
		}
		for _, t := range tx.TagsOf(d) {
			if c.o.Immutable(c.repo, t.Name) {
				return conflict("tag " + t.Name + " of this manifest is immutable")
			}
		}
		for _, user := range tx.Users(d) {
			if f == nil || user != f.old {
				return conflict("manifest is part of index " + user.String() + ", which has to be deleted first")
			}
		}
		if f != nil {
			if err := f.replace(tx); err != nil {
				return err
			}
		}
		tx.DeleteManifest(d)
		return nil
	})
}

func (c *call) deleteTag() error {
	var d digest.Digest
	err := c.index.Update(c.r.Context(), c.repo, func(tx storage.Tx) error {
		t, err := tx.Tag(c.arg)
		if err != nil {
			return err
		}
		if c.o.Immutable(c.repo, c.arg) {
			return conflict("tag " + c.arg + " is immutable")
		}
		d = t.Digest
		tx.DeleteTag(c.arg)
		return nil
	})
	if err != nil {
		return manifestError(err)
	}
	c.event(Event{Action: Delete, Kind: KindTag, Digest: d, Tag: c.arg})
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

func (c *call) putManifest() error {
	d, tags, err := c.target()
	if err != nil {
		return err
	}
	raw, err := c.manifestBody()
	if err != nil {
		return err
	}
	if d == "" {
		d = digest.FromBytes(raw)
	} else if d.Algorithm().FromBytes(raw) != d {
		return apiError{http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content"}
	}
	m, err := parseManifest(c.r.Header.Get("Content-Type"), d, raw)
	if err != nil {
		return err
	}
	if err := c.storeManifest(c.r.Context(), c.repo, m, raw, tags); err != nil {
		return err
	}
	c.tellManifest(m, tags)
	return nil
}

func (c *call) manifestBody() ([]byte, error) {
	size := c.r.ContentLength
	if size > c.o.MaxManifest {
		return nil, c.manifestTooLarge()
	}
	raw, err := io.ReadAll(io.LimitReader(c.body(0, c.o.MaxManifest+1), c.o.MaxManifest+1))
	if int64(len(raw)) > c.o.MaxManifest {
		return nil, c.manifestTooLarge()
	}
	if err != nil {
		return nil, apiError{http.StatusBadRequest, "MANIFEST_INVALID", "the request broke off"}
	}
	return raw, nil
}

func (c *call) manifestTooLarge() error {
	return apiError{http.StatusRequestEntityTooLarge, "SIZE_INVALID", fmt.Sprintf("manifest of more than %d bytes", c.o.MaxManifest)}
}

// tellManifest answers that a manifest was stored.
func (c *call) tellManifest(m storage.Manifest, tags []string) {
	h := c.w.Header()
	e := Event{Action: Push, Kind: KindManifest, Digest: m.Digest, MediaType: m.MediaType, Size: m.Size}
	if len(tags) == 0 {
		c.event(e)
	}
	for _, tag := range tags {
		e.Tag = tag
		c.event(e)
		if tag != c.arg {
			h.Add("OCI-Tag", tag)
		}
	}
	if m.Subject != "" {
		h.Set("OCI-Subject", m.Subject.String())
	}
	h.Set("Location", "/v2/"+c.repo+"/manifests/"+m.Digest.String())
	h.Set("Docker-Content-Digest", m.Digest.String())
	h.Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusCreated)
}

// maxTags bounds the tags of one PUT.
const maxTags = 100

// target is where a manifest is to go: a tag, or a digest with or without tags.
func (c *call) target() (d digest.Digest, tags []string, err error) {
	if ValidTag(c.arg) {
		return "", []string{c.arg}, nil
	}
	if !strings.Contains(c.arg, ":") {
		return "", nil, apiError{http.StatusBadRequest, "TAG_INVALID", "invalid tag"}
	}
	if d, err = digestIn(c.arg); err != nil {
		return "", nil, err
	}
	tags = c.r.URL.Query()["tag"]
	if len(tags) > maxTags {
		return "", nil, apiError{http.StatusRequestURITooLong, "TAG_INVALID", "more than " + strconv.Itoa(maxTags) + " tags"}
	}
	for _, tag := range tags {
		if !ValidTag(tag) {
			return "", nil, apiError{http.StatusBadRequest, "TAG_INVALID", "invalid tag"}
		}
	}
	return d, tags, nil
}

func manifestError(err error) error {
	if errors.Is(err, errs.ErrNotFound) {
		return apiError{http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown to registry"}
	}
	return err
}
