package content

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
)

// A Referrer lists what refers to a manifest or index: signatures, SBOMs,
// attestations.
type Referrer interface {
	// Referrers gives the manifests whose subject is d. There being none is no error.
	Referrers(ctx context.Context, d digest.Digest) ([]image.Descriptor, error)
}

// ReferrersTag is the tag under which clients list the referrers of d where a
// registry does not: "sha256-…".
//
// Source: OCI distribution specification 1.1, "Referrers Tag Schema".
func ReferrersTag(d digest.Digest) string {
	algorithm, encoded := d.Algorithm().String(), d.Encoded()
	return algorithm[:min(len(algorithm), 32)] + "-" + encoded[:min(len(encoded), 64)]
}
