package ocilayout

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/errs"
)

// Version is the content of the file oci-layout.
func Version() []byte { return []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`) }

// CheckVersion says whether raw, the content of an oci-layout file, announces a
// layout that we can read.
func CheckVersion(raw []byte) error {
	var v ocispec.ImageLayout
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("%s: %w: %w", ocispec.ImageLayoutFile, errs.ErrInvalid, err)
	}
	if v.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%s: version %q: %w", ocispec.ImageLayoutFile, v.Version, errs.ErrUnsupported)
	}
	return nil
}

// BlobPath is where a layout keeps the blob, with slashes. d must be valid.
func BlobPath(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}
