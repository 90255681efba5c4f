package archive

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ocilayout"
)

func blobPath(d digest.Digest) string { return ocilayout.BlobPath(d) }

// readLayout reads an OCI layout. Where docker's manifest.json is there as well
// it gives names to images that index.json leaves without.
func (a *Archive) readLayout(ctx context.Context) error {
	version, err := a.s.read(ocispec.ImageLayoutFile)
	if err != nil {
		return err
	}
	if err := ocilayout.CheckVersion(version); err != nil {
		return err
	}
	raw, err := a.s.read(ocispec.ImageIndexFile)
	if err != nil {
		return err
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return err
	}
	for _, e := range ocilayout.Entries(x) {
		if err := a.add(e.Target, e.Name); err != nil {
			return err
		}
	}
	return a.nameByConfig(ctx)
}

// nameByConfig gives nameless images the RepoTags of the entry with their config.
func (a *Archive) nameByConfig(ctx context.Context) error {
	raw, err := a.s.read("manifest.json")
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := parseManifestJSON(raw)
	if err != nil {
		return err
	}
	for i := range a.images {
		img := &a.images[i]
		if len(img.Names) > 0 || !image.IsManifest(img.Target.MediaType) {
			continue
		}
		raw, err := content.ReadAll(ctx, a, img.Target)
		if err != nil {
			return err
		}
		m, err := image.ParseManifest(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", img.Target.Digest, err)
		}
		for _, e := range entries {
			if clean(e.Config) == blobPath(m.Config.Digest) {
				if img.Names, err = canonical(e.RepoTags); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
