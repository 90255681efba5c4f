package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// maxTags bounds the tags of one PUT.
const maxTags = 100

func (c *call) getManifest() error {
	d, err := c.reference()
	if err != nil {
		return err
	}
	m, err := c.b.Manifest(c.r.Context(), c.repo, d)
	if err != nil {
		return manifestError(err)
	}
	h := c.w.Header()
	h.Set("Docker-Content-Digest", d.String())
	h.Set("ETag", `"`+d.String()+`"`)
	if c.r.Header.Get("If-None-Match") == `"`+d.String()+`"` {
		c.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	write(c.w, http.StatusOK, m.Raw, m.MediaType)
	return nil
}

// reference is the digest that the URL names, directly or by tag.
func (c *call) reference() (digest.Digest, error) {
	if tagForm.MatchString(c.arg) {
		d, err := c.b.Tag(c.r.Context(), c.repo, c.arg)
		return d, manifestError(err)
	}
	return digestIn(c.arg)
}

func (c *call) putManifest() error {
	d, tags, err := c.target()
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(io.LimitReader(c.r.Body, maxManifest+1))
	if err != nil {
		return apiError{http.StatusBadRequest, "MANIFEST_INVALID", "the request broke off"}
	}
	if len(raw) > maxManifest {
		return apiError{http.StatusRequestEntityTooLarge, "SIZE_INVALID", fmt.Sprintf("manifest of more than %d bytes", maxManifest)}
	}
	if d == "" {
		d = digest.FromBytes(raw)
	} else if d.Algorithm().FromBytes(raw) != d {
		return apiError{http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content"}
	}
	m, err := c.checkManifest(d, raw)
	if err != nil {
		return err
	}
	if err := c.b.PutManifest(c.r.Context(), c.repo, d, m); err != nil {
		return err
	}
	h := c.w.Header()
	for _, tag := range tags {
		if err := c.b.PutTag(c.r.Context(), c.repo, tag, d); err != nil {
			return err
		}
		if tag != c.arg {
			h.Add("OCI-Tag", tag)
		}
	}
	if m.Subject != "" {
		h.Set("OCI-Subject", m.Subject.String())
	}
	h.Set("Location", "/v2/"+c.repo+"/manifests/"+d.String())
	h.Set("Docker-Content-Digest", d.String())
	h.Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusCreated)
	return nil
}

// target is where a manifest is to go: a tag, or a digest with or without tags.
func (c *call) target() (d digest.Digest, tags []string, err error) {
	if tagForm.MatchString(c.arg) {
		return "", []string{c.arg}, nil
	}
	if d, err = digestIn(c.arg); err != nil {
		return "", nil, err
	}
	tags = c.r.URL.Query()["tag"]
	if len(tags) > maxTags {
		return "", nil, apiError{http.StatusRequestURITooLong, "TAG_INVALID", "too many tags"}
	}
	for _, tag := range tags {
		if !tagForm.MatchString(tag) {
			return "", nil, apiError{http.StatusBadRequest, "TAG_INVALID", "invalid tag"}
		}
	}
	return d, tags, nil
}

// checkManifest reads what a manifest says of itself and makes sure that its
// blobs are there. Manifests that an index lists may be missing: an index need
// not be copied whole.
func (c *call) checkManifest(d digest.Digest, raw []byte) (Manifest, error) {
	mt, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	var said struct {
		MediaType    string            `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Subject      *image.Descriptor `json:"subject"`
		Annotations  map[string]string `json:"annotations"`
		Config       image.Descriptor  `json:"config"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return Manifest{}, invalid("manifest is no JSON object")
	}
	if mt == "" {
		mt = said.MediaType
	}
	if said.MediaType != "" && said.MediaType != mt {
		return Manifest{}, invalid("media type differs from Content-Type")
	}
	m := Manifest{MediaType: mt, Raw: raw}
	switch {
	case image.IsManifest(mt):
		if err := c.checkBlobs(raw); err != nil {
			return m, err
		}
	case image.IsIndex(mt):
		if _, err := image.ParseIndex(raw); err != nil {
			return m, invalid("invalid index")
		}
	default:
		return m, invalid("unsupported media type")
	}
	if said.Subject == nil {
		return m, nil
	}
	if image.CheckDescriptor(*said.Subject) != nil {
		return m, invalid("invalid subject")
	}
	m.Subject = said.Subject.Digest
	m.Referrer = image.Descriptor{
		MediaType: mt, Digest: d, Size: int64(len(raw)),
		ArtifactType: said.ArtifactType, Annotations: said.Annotations,
	}
	if m.Referrer.ArtifactType == "" && image.IsManifest(mt) {
		m.Referrer.ArtifactType = said.Config.MediaType
	}
	return m, nil
}

func (c *call) checkBlobs(raw []byte) error {
	m, err := image.ParseManifest(raw)
	if err != nil {
		return invalid("invalid manifest")
	}
	for _, d := range append(slices.Clone(m.Layers), m.Config) {
		if len(d.URLs) > 0 || content.IsForeign(d.MediaType) {
			continue
		}
		_, err := c.b.StatBlob(c.r.Context(), c.repo, d.Digest)
		if errors.Is(err, errs.ErrNotFound) {
			return apiError{http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry: " + d.Digest.String()}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *call) deleteManifest() error {
	var err error
	if tagForm.MatchString(c.arg) {
		err = c.b.DeleteTag(c.r.Context(), c.repo, c.arg)
	} else {
		d, derr := digestIn(c.arg)
		if derr != nil {
			return derr
		}
		err = c.b.DeleteManifest(c.r.Context(), c.repo, d)
	}
	if err != nil {
		return manifestError(err)
	}
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}

// listReferrers is never "not found": an index without entries then.
func (c *call) listReferrers() error {
	d, err := digestIn(c.arg)
	if err != nil {
		return err
	}
	list, err := c.b.Referrers(c.r.Context(), c.repo, d)
	if err != nil && !errors.Is(err, errs.ErrNotFound) {
		return err
	}
	x := image.Index{MediaType: image.MediaTypeIndex, Manifests: []image.Descriptor{}}
	x.SchemaVersion = 2
	kind := c.r.URL.Query().Get("artifactType")
	for _, r := range list {
		if kind == "" || r.ArtifactType == kind {
			x.Manifests = append(x.Manifests, r)
		}
	}
	if kind != "" {
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	c.json(http.StatusOK, x, image.MediaTypeIndex)
	return nil
}

func invalid(message string) error {
	return apiError{http.StatusBadRequest, "MANIFEST_INVALID", message}
}

func manifestError(err error) error {
	if errors.Is(err, errs.ErrNotFound) {
		return apiError{http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown to registry"}
	}
	return err
}

// atoi reads a number of a query, not negative.
func atoi(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n >= 0
}
