package mirror

import (
	"encoding/json"
	"fmt"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// An about is what a manifest or an index says of itself and others.
type about struct {
	MediaType    string             `json:"mediaType"`
	ArtifactType string             `json:"artifactType"`
	Config       *image.Descriptor  `json:"config"`
	Manifests    []image.Descriptor `json:"manifests"`
	Subject      *image.Descriptor  `json:"subject"`
	Annotations  map[string]string  `json:"annotations"`
}

func describe(raw []byte) (about, error) {
	var a about
	if err := json.Unmarshal(raw, &a); err != nil {
		return a, fmt.Errorf("read manifest: %w: %w", errs.ErrInvalid, err)
	}
	return a, nil
}

// artifactType is what a list of referrers says that the manifest is.
func (a about) artifactType() string {
	if a.ArtifactType == "" && a.Config != nil {
		return a.Config.MediaType
	}
	return a.ArtifactType
}
