package archive

import (
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ocilayout"
	"github.com/mica-build/mica/ref"
)

func epoch() time.Time { return time.Unix(0, 0).UTC() }

// docker makes manifest.json and repositories out of what was written.
func (a *Writer) docker() ([]dockerEntry, map[string]map[string]string, error) {
	entries := []dockerEntry{}
	repos := map[string]map[string]string{}
	at := map[digest.Digest]int{} // entries by manifest
	for _, e := range ocilayout.Entries(a.index) {
		d, m, ok, err := a.imageOf(e.Target, 0)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			continue // an artifact, which docker has no place for
		}
		i, seen := at[d.Digest]
		if !seen {
			i = len(entries)
			at[d.Digest] = i
			entry, err := a.entry(m)
			if err != nil {
				return nil, nil, err
			}
			entries = append(entries, entry)
		}
		r, err := ref.Parse(e.Name)
		if e.Name == "" || err != nil || r.Tag == "" || !hasName(e.Name) {
			continue
		}
		entries[i].RepoTags = append(entries[i].RepoTags, r.Familiar())
		if n := len(m.Layers); n > 0 {
			if repos[r.FamiliarName()] == nil {
				repos[r.FamiliarName()] = map[string]string{}
			}
			repos[r.FamiliarName()][r.Tag] = m.Layers[n-1].Digest.Encoded()
		}
	}
	return entries, repos, nil
}

// hasName tells a reference from a bare tag.
func hasName(name string) bool {
	return slices.ContainsFunc([]rune(name), func(c rune) bool { return c == '/' || c == ':' })
}

// imageOf finds the image that d is, or that stands for the index d.
func (a *Writer) imageOf(d image.Descriptor, depth int) (image.Descriptor, image.Manifest, bool, error) {
	raw, ok := a.metadata[d.Digest]
	if !ok || depth > maxLinks {
		return d, image.Manifest{}, false, nil
	}
	if image.IsManifest(d.MediaType) {
		m, err := image.ParseManifest(raw)
		if err != nil {
			return d, m, false, fmt.Errorf("%s: %w", d.Digest, err)
		}
		_, isImage := a.metadata[m.Config.Digest]
		return d, m, isImage, nil
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return d, image.Manifest{}, false, fmt.Errorf("%s: %w", d.Digest, err)
	}
	if a.o.Platform != nil {
		if one, err := image.SelectManifest(x, *a.o.Platform); err == nil {
			return a.imageOf(one, depth+1)
		}
	}
	for _, child := range x.Manifests {
		if child.Platform != nil && child.Platform.OS == "unknown" {
			continue // an attestation
		}
		if got, m, ok, err := a.imageOf(child, depth+1); ok || err != nil {
			return got, m, ok, err
		}
	}
	return d, image.Manifest{}, false, nil
}

// entry describes one image as manifest.json does.
func (a *Writer) entry(m image.Manifest) (dockerEntry, error) {
	e := dockerEntry{Config: blobPath(m.Config.Digest), Layers: []string{}, LayerSources: map[digest.Digest]image.Descriptor{}}
	c, err := image.ParseConfig(a.metadata[m.Config.Digest])
	if err != nil {
		return e, err
	}
	for i, l := range m.Layers {
		e.Layers = append(e.Layers, blobPath(l.Digest))
		if i < len(c.RootFS.DiffIDs) {
			e.LayerSources[c.RootFS.DiffIDs[i]] = image.Descriptor{MediaType: l.MediaType, Size: l.Size, Digest: l.Digest}
		}
	}
	return e, nil
}
