package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server/storage"
)

// parseManifest reads what a manifest says of itself and what it needs.
// contentType may be "" where the manifest says its type.
func parseManifest(contentType string, d digest.Digest, raw []byte) (storage.Manifest, error) {
	m := storage.Manifest{Digest: d, Size: int64(len(raw))}
	var said struct {
		MediaType    string            `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Subject      *image.Descriptor `json:"subject"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return m, invalid("manifest is no JSON object")
	}
	m.MediaType, _, _ = mime.ParseMediaType(contentType)
	if m.MediaType == "" {
		m.MediaType = said.MediaType
	}
	if said.MediaType != "" && said.MediaType != m.MediaType {
		return m, invalid("media type differs from Content-Type")
	}
	m.ArtifactType = said.ArtifactType
	if said.Subject != nil {
		if image.CheckDescriptor(*said.Subject) != nil {
			return m, invalid("invalid subject")
		}
		m.Subject = said.Subject.Digest
	}
	return m, needs(&m, raw)
}

// needs fills in what a manifest or index refers to.
func needs(m *storage.Manifest, raw []byte) error {
	switch {
	case image.IsManifest(m.MediaType):
		x, err := image.ParseManifest(raw)
		if err != nil {
			return invalid("invalid manifest")
		}
		if m.ArtifactType == "" {
			m.ArtifactType = x.Config.MediaType
		}
		for _, d := range append(x.Layers, x.Config) {
			if len(d.URLs) == 0 && !content.IsForeign(d.MediaType) {
				m.Blobs = append(m.Blobs, d.Digest)
			}
		}
	case image.IsIndex(m.MediaType):
		x, err := image.ParseIndex(raw)
		if err != nil {
			return invalid("invalid index")
		}
		for _, d := range x.Manifests {
			m.Manifests = append(m.Manifests, d.Digest)
		}
	default:
		return invalid("unsupported media type")
	}
	for _, list := range []*[]digest.Digest{&m.Blobs, &m.Manifests} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return nil
}

func invalid(message string) error {
	return apiError{http.StatusBadRequest, "MANIFEST_INVALID", message}
}

// errBytesGone says that bytes were collected that were there a moment before.
var errBytesGone = fmt.Errorf("bytes are gone: %w", errs.ErrNotFound)

// storeManifest stores a manifest under tags, if the repository has its blobs.
// Manifests that an index lists may be missing: it need not be copied whole.
func (g *Registry) storeManifest(ctx context.Context, repo string, m storage.Manifest, raw []byte, tags []string) error {
	if size, err := g.blobs.Stat(ctx, m.Digest); err == nil && size == m.Size {
		err := g.putManifestIn(ctx, repo, m, tags, g.present(ctx, m.Digest, m.Size))
		if !errors.Is(err, errBytesGone) {
			return err
		}
	}
	id, err := g.blobs.Start(ctx, repo, m.Digest.Algorithm())
	if err != nil {
		return err
	}
	if _, err := g.blobs.Write(ctx, repo, id, 0, bytes.NewReader(raw)); err != nil {
		return errors.Join(err, g.blobs.Cancel(ctx, repo, id))
	}
	f, err := g.blobs.Finish(ctx, repo, id, m.Digest)
	if err != nil {
		return err
	}
	if err := g.putManifestIn(ctx, repo, m, tags, f.Publish); err != nil {
		f.Discard()
		return err
	}
	g.raw.put(m.Digest, raw)
	return nil
}

// putManifestIn changes the index; publish sees to the bytes.
func (g *Registry) putManifestIn(ctx context.Context, repo string, m storage.Manifest, tags []string, publish func() error) error {
	return g.index.Update(ctx, repo, func(tx storage.Tx) error {
		if !g.o.Sparse {
			if err := allThere(tx, m.Blobs); err != nil {
				return err
			}
		}
		tx.PutManifest(m)
		if err := g.putTags(tx, repo, m.Digest, tags); err != nil {
			return err
		}
		for _, l := range g.o.Limits(repo) {
			tx.Limit(l)
		}
		tx.Publish(publish)
		return nil
	})
}

func allThere(tx storage.Tx, blobs []digest.Digest) error {
	for _, d := range blobs {
		if _, err := tx.Blob(d); errors.Is(err, errs.ErrNotFound) {
			return apiError{http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry: " + d.String()}
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (g *Registry) putTags(tx storage.Tx, repo string, d digest.Digest, tags []string) error {
	for _, tag := range tags {
		old, err := tx.Tag(tag)
		if err == nil && old.Digest != d && g.o.Immutable(repo, tag) {
			return conflict("tag " + tag + " is immutable")
		}
		tx.PutTag(storage.Tag{Name: tag, Digest: d})
	}
	return nil
}
