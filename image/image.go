package image

import (
	"encoding/json"
	"fmt"

	"github.com/containerd/platforms"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/errs"
)

type (
	// Descriptor names a blob: media type, digest, size in bytes.
	Descriptor = ocispec.Descriptor
	// Manifest lists the config and the layers of one image.
	Manifest = ocispec.Manifest
	// Index lists manifests, one for each platform or attestation.
	Index = ocispec.Index
	// Platform is an operating system and an architecture.
	Platform = ocispec.Platform
	// History says how one layer, or one metadata step, was made.
	History = ocispec.History
	// Config is an image's configuration with the fields docker adds to OCI's
	// (health check, onbuild triggers, shell).
	Config = dockerspec.DockerOCIImage
)

// Media types that mica reads and writes.
const (
	MediaTypeManifest     = ocispec.MediaTypeImageManifest
	MediaTypeIndex        = ocispec.MediaTypeImageIndex
	MediaTypeConfig       = ocispec.MediaTypeImageConfig
	MediaTypeLayer        = ocispec.MediaTypeImageLayer
	MediaTypeLayerGzip    = ocispec.MediaTypeImageLayerGzip
	MediaTypeLayerZstd    = ocispec.MediaTypeImageLayerZstd
	DockerManifest        = "application/vnd.docker.distribution.manifest.v2+json"
	DockerManifestList    = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerManifestSchema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	DockerConfig          = "application/vnd.docker.container.image.v1+json"
	DockerLayer           = "application/vnd.docker.image.rootfs.diff.tar"
	DockerLayerGzip       = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	DockerForeignLayer    = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// MaxMetadata is the most bytes of a manifest, index or config that mica reads,
// the bound that the distribution spec recommends to registries.
const MaxMetadata = 4 << 20

// IsManifest says whether mt is an image manifest's media type.
func IsManifest(mt string) bool { return mt == MediaTypeManifest || mt == DockerManifest }

// IsIndex says whether mt is the media type of an index or manifest list.
func IsIndex(mt string) bool { return mt == MediaTypeIndex || mt == DockerManifestList }

// IsLayer says whether mt is the media type of a filesystem layer.
func IsLayer(mt string) bool {
	switch mt {
	case MediaTypeLayer, MediaTypeLayerGzip, MediaTypeLayerZstd,
		DockerLayer, DockerLayerGzip, DockerForeignLayer, DockerLayer + ".zstd",
		//lint:ignore SA1019 still found in old images
		ocispec.MediaTypeImageLayerNonDistributable,
		//lint:ignore SA1019 still found in old images
		ocispec.MediaTypeImageLayerNonDistributableGzip,
		//lint:ignore SA1019 still found in old images
		ocispec.MediaTypeImageLayerNonDistributableZstd:
		return true
	}
	return false
}

// ParseManifest decodes an image manifest and checks that its config and layers
// carry valid digests and sizes. Errors match errs.ErrInvalid.
func ParseManifest(raw []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return m, fmt.Errorf("parse manifest: %w: %w", errs.ErrInvalid, err)
	}
	if err := CheckDescriptor(m.Config); err != nil {
		return m, fmt.Errorf("parse manifest: config: %w", err)
	}
	for i, l := range m.Layers {
		if err := CheckDescriptor(l); err != nil {
			return m, fmt.Errorf("parse manifest: layer %d: %w", i, err)
		}
	}
	return m, nil
}

// ParseIndex decodes an index or manifest list. Errors match errs.ErrInvalid.
func ParseIndex(raw []byte) (Index, error) {
	var x Index
	if err := json.Unmarshal(raw, &x); err != nil {
		return x, fmt.Errorf("parse index: %w: %w", errs.ErrInvalid, err)
	}
	for i, d := range x.Manifests {
		if err := CheckDescriptor(d); err != nil {
			return x, fmt.Errorf("parse index: manifest %d: %w", i, err)
		}
	}
	return x, nil
}

// ParseConfig decodes an image config. Errors match errs.ErrInvalid.
func ParseConfig(raw []byte) (Config, error) {
	var c Config
	if err := json.Unmarshal(raw, &c); err != nil {
		return c, fmt.Errorf("parse image config: %w: %w", errs.ErrInvalid, err)
	}
	for _, d := range c.RootFS.DiffIDs {
		if err := d.Validate(); err != nil {
			return c, fmt.Errorf("parse image config: diff id %q: %w: %w", d, errs.ErrInvalid, err)
		}
	}
	return c, nil
}

// CheckDescriptor reports a digest that is malformed or of an algorithm that is
// not linked in, and a negative size.
func CheckDescriptor(d Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w: %w", d.Digest, errs.ErrInvalid, err)
	}
	if d.Size < 0 {
		return fmt.Errorf("size %d of %s: %w", d.Size, d.Digest, errs.ErrInvalid)
	}
	return nil
}

// NewDescriptor describes data as a blob of the given media type.
func NewDescriptor(mediaType string, data []byte) Descriptor {
	return Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// PlatformOf gives the platform an image config says it is for, normalized.
func PlatformOf(c Config) Platform { return platforms.Normalize(c.Platform) }

// SelectManifest picks from an index the manifest that suits want best, as
// containerd's matcher orders them (an exact variant before a lower one).
// Attestation manifests (platform unknown/unknown) never match.
// The error lists what the index has and matches errs.ErrNotFound.
func SelectManifest(x Index, want Platform) (Descriptor, error) {
	match := platforms.Only(want)
	best := -1
	var have []string
	for i, d := range x.Manifests {
		if d.Platform == nil {
			if best < 0 && len(x.Manifests) == 1 {
				best = i
			}
			continue
		}
		if d.Platform.OS == "unknown" {
			continue
		}
		have = append(have, platforms.FormatAll(*d.Platform))
		if !match.Match(*d.Platform) {
			continue
		}
		if best < 0 || x.Manifests[best].Platform == nil || match.Less(*d.Platform, *x.Manifests[best].Platform) {
			best = i
		}
	}
	if best < 0 {
		return Descriptor{}, fmt.Errorf("no manifest for platform %s (the index has %v): %w", platforms.FormatAll(want), have, errs.ErrNotFound)
	}
	return x.Manifests[best], nil
}
