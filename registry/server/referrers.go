package server

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server/storage"
)

// listReferrers is never "not found": an index without entries then.
func (c *call) listReferrers() error {
	d, err := digestIn(c.arg)
	if err != nil {
		return err
	}
	list, err := c.index.Referrers(c.r.Context(), c.repo, d)
	if err != nil {
		return err
	}
	x := image.Index{MediaType: image.MediaTypeIndex, Manifests: []image.Descriptor{}}
	x.SchemaVersion = 2
	kind := c.r.URL.Query().Get("artifactType")
	for _, m := range list {
		if kind != "" && m.ArtifactType != kind {
			continue
		}
		r, err := c.referrer(m)
		if errors.Is(err, errs.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		x.Manifests = append(x.Manifests, r)
	}
	if kind != "" {
		c.w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	c.json(http.StatusOK, x, image.MediaTypeIndex)
	return nil
}

// referrer describes a manifest with its annotations.
func (c *call) referrer(m storage.Manifest) (image.Descriptor, error) {
	raw, err := c.manifestBytes(m)
	if err != nil {
		return image.Descriptor{}, err
	}
	var said struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return image.Descriptor{}, err
	}
	return image.Descriptor{
		MediaType: m.MediaType, Digest: m.Digest, Size: m.Size,
		ArtifactType: m.ArtifactType, Annotations: said.Annotations,
	}, nil
}
