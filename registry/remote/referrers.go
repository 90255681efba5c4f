package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

var _ content.Referrer = (*Repository)(nil)

// Referrers lists the manifests whose subject is d: signatures, SBOMs, attestations.
// They need not be in the order in which they came. A registry without the API for
// it is asked for the tag that clients keep instead.
//
// Source: OCI distribution specification 1.1, "Listing Referrers" and "Referrers Tag
// Schema".
func (r *Repository) Referrers(ctx context.Context, d digest.Digest) ([]image.Descriptor, error) {
	ctx = r.host.scoped(ctx, r.ref.Path, "pull")
	var all []image.Descriptor
	err := eachPage(ctx, r.host, r.url("referrers", d.String()), func(page image.Index) bool {
		all = append(all, page.Manifests...)
		return true
	})
	if noReferrersAPI(err) {
		all, err = r.fallback(ctx, d)
	}
	if err != nil {
		return nil, fmt.Errorf("list referrers of %s: %w", r.show(d.String()), err)
	}
	for _, m := range all {
		if err := image.CheckDescriptor(m); err != nil {
			return nil, fmt.Errorf("list referrers of %s: %w", r.show(d.String()), err)
		}
	}
	return all, nil
}

// noReferrersAPI says whether err is what a registry answers that knows no referrers.
func noReferrersAPI(err error) bool {
	var refused *Error
	if errors.As(err, &refused) {
		return slices.Contains([]int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest, http.StatusNotImplemented}, refused.Status)
	}
	return errors.Is(err, errs.ErrInvalid) // a web page, say
}

// fallback reads the index that stands for the API.
func (r *Repository) fallback(ctx context.Context, subject digest.Digest) ([]image.Descriptor, error) {
	tag := content.ReferrersTag(subject)
	d, err := r.head(ctx, tag)
	if errors.Is(err, errs.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !image.IsIndex(d.MediaType) {
		return nil, nil // somebody's image of that name
	}
	raw, err := content.ReadAll(ctx, r, d)
	if err != nil {
		return nil, err
	}
	x, err := image.ParseIndex(raw)
	return x.Manifests, err
}

// refer lists a manifest with a subject in the index that stands for the API,
// where the registry did not say, by OCI-Subject, that it has done so itself.
func (r *Repository) refer(ctx context.Context, d image.Descriptor, raw []byte) error {
	var m struct {
		MediaType    string            `json:"mediaType"`
		ArtifactType string            `json:"artifactType"`
		Config       *image.Descriptor `json:"config"`
		Subject      *image.Descriptor `json:"subject"`
		Annotations  map[string]string `json:"annotations"`
	}
	if json.Unmarshal(raw, &m) != nil || m.Subject == nil || m.Subject.Digest.Validate() != nil {
		return nil
	}
	// One after another: each reads the index and writes it anew.
	r.referring.Lock()
	defer r.referring.Unlock()
	listed, err := r.fallback(ctx, m.Subject.Digest)
	if err != nil || slices.ContainsFunc(listed, func(o image.Descriptor) bool { return o.Digest == d.Digest }) {
		return err
	}
	e := image.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, ArtifactType: m.ArtifactType, Annotations: m.Annotations}
	if e.ArtifactType == "" && m.Config != nil {
		e.ArtifactType = m.Config.MediaType
	}
	x := image.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeIndex, Manifests: append(listed, e)}
	index, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = r.putManifest(ctx, content.ReferrersTag(m.Subject.Digest), image.NewDescriptor(image.MediaTypeIndex, index), index)
	return err
}
