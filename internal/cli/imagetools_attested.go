package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
)

// What BuildKit writes beside the images of an index.
const (
	annotationReferenceType   = "vnd.docker.reference.type"
	annotationReferenceDigest = "vnd.docker.reference.digest"
	annotationPredicate       = "in-toto.io/predicate-type"
)

// attested gives the predicates of a type that attestations in the index have: of
// an image for one platform {key: predicate}, otherwise a map of these by platform.
func (v *remoteView) attested(predicateType, key string) (any, error) {
	names := map[string]string{} // of platforms, by the manifest's digest
	for _, d := range v.Manifest.Manifests {
		if d.Platform != nil && d.Platform.OS != "unknown" {
			names[d.Digest.String()] = platforms.FormatAll(*d.Platform)
		}
	}
	found := map[string]any{}
	for _, d := range v.Manifest.Manifests {
		platform, ok := names[d.Annotations[annotationReferenceDigest]]
		if !ok || d.Annotations[annotationReferenceType] != "attestation-manifest" {
			continue
		}
		predicate, err := v.predicate(d, predicateType)
		if err != nil {
			return nil, err
		}
		if predicate != nil {
			found[platform] = map[string]any{key: predicate}
		}
	}
	if len(names) == 1 {
		for _, one := range found {
			return one, nil
		}
	}
	return found, nil
}

// predicate reads the predicate of a type from an attestation manifest; nil if it
// has none.
func (v *remoteView) predicate(d image.Descriptor, predicateType string) (any, error) {
	raw, err := content.ReadAll(v.ctx, v.repo, d)
	if err != nil {
		return nil, err
	}
	m, err := image.ParseManifest(raw)
	if err != nil {
		return nil, err
	}
	for _, l := range m.Layers {
		if !strings.HasPrefix(l.Annotations[annotationPredicate], predicateType) {
			continue
		}
		if raw, err = content.ReadAll(v.ctx, v.repo, l); err != nil {
			return nil, err
		}
		var statement struct {
			Predicate any `json:"predicate"`
		}
		if err := json.Unmarshal(raw, &statement); err != nil {
			return nil, fmt.Errorf("attestation %s: %w", l.Digest, err)
		}
		return statement.Predicate, nil
	}
	return nil, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
