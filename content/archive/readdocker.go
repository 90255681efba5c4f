package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/ref"
)

// maxLayers is more than any storage driver stacks.
const maxLayers = 1000

// An entry of manifest.json.
type dockerEntry struct {
	Config       string
	RepoTags     []string
	Layers       []string
	LayerSources map[digest.Digest]image.Descriptor `json:",omitempty"`
}

func parseManifestJSON(raw []byte) ([]dockerEntry, error) {
	var entries []dockerEntry
	if err := json.Unmarshal(raw, &entries); err != nil {
		return nil, fmt.Errorf("manifest.json: %w: %w", errs.ErrInvalid, err)
	}
	if len(entries) > maxImages {
		return nil, fmt.Errorf("manifest.json: more than %d images: %w", maxImages, errs.ErrTooLarge)
	}
	return entries, nil
}

// readDocker reads manifest.json of docker 1.10 and later.
func (a *Archive) readDocker(ctx context.Context) error {
	raw, err := a.s.read("manifest.json")
	if err != nil {
		return err
	}
	entries, err := parseManifestJSON(raw)
	if err != nil {
		return err
	}
	for _, e := range entries {
		config, err := a.s.read(e.Config)
		if err != nil {
			return err
		}
		if err := a.addDocker(ctx, config, e.Layers, e.RepoTags); err != nil {
			return fmt.Errorf("image %s: %w", e.Config, err)
		}
	}
	return nil
}

// addDocker makes the manifest that an image in docker's form does not have.
func (a *Archive) addDocker(ctx context.Context, config []byte, layers, tags []string) error {
	c, err := image.ParseConfig(config)
	if err != nil {
		return err
	}
	if len(layers) != len(c.RootFS.DiffIDs) || len(layers) > maxLayers {
		return fmt.Errorf("%d layers for %d diff ids: %w", len(layers), len(c.RootFS.DiffIDs), errs.ErrInvalid)
	}
	m := image.Manifest{MediaType: image.MediaTypeManifest, Layers: []image.Descriptor{}}
	m.SchemaVersion = 2
	if m.Config, err = a.keep(image.MediaTypeConfig, config); err != nil {
		return err
	}
	for i, name := range layers {
		d, err := a.describe(ctx, name, c.RootFS.DiffIDs[i])
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	names, err := canonical(tags)
	if err != nil {
		return err
	}
	d, err := a.keep(image.MediaTypeManifest, raw)
	if err != nil {
		return err
	}
	return a.add(d, names...)
}

// describe gives the descriptor of a layer's file. A plain tar has the diffID as
// its digest, which is verified when it is fetched; a compressed one is hashed.
func (a *Archive) describe(ctx context.Context, name string, diffID digest.Digest) (image.Descriptor, error) {
	r, err := a.s.find(name)
	if err != nil {
		return image.Descriptor{}, err
	}
	d := image.Descriptor{MediaType: image.MediaTypeLayer, Digest: diffID, Size: r.Size()}
	if kind := compression(r); kind != "" {
		if d.Digest, err = a.hash(ctx, name, r); err != nil {
			return d, err
		}
		d.MediaType = kind
	}
	a.blobs[d.Digest] = name
	return d, nil
}

// compression is the media type of a compressed layer, "" for a plain tar.
func compression(r *io.SectionReader) string {
	magic := make([]byte, 4)
	n, _ := r.ReadAt(magic, 0)
	switch s := string(magic[:n]); {
	case len(s) >= 2 && s[:2] == "\x1f\x8b":
		return image.MediaTypeLayerGzip
	case s == "\x28\xb5\x2f\xfd":
		return image.MediaTypeLayerZstd
	}
	return ""
}

// diffID hashes a layer's uncompressed tar.
func (a *Archive) diffID(ctx context.Context, name string) (digest.Digest, error) {
	r, err := a.s.find(name)
	if err != nil {
		return "", err
	}
	plain, _, err := layer.Decompress(r)
	if err != nil {
		return "", err
	}
	defer plain.Close()
	return a.hash(ctx, "plain "+name, plain)
}

// hash hashes r once for each key.
func (a *Archive) hash(ctx context.Context, key string, r io.Reader) (digest.Digest, error) {
	if d, ok := a.hashed[key]; ok {
		return d, nil
	}
	h := digest.Canonical.Digester()
	if _, err := io.Copy(h.Hash(), &stopper{ctx, r}); err != nil {
		return "", fmt.Errorf("%q in archive: %w", key, err)
	}
	a.hashed[key] = h.Digest()
	return h.Digest(), nil
}

// canonical makes whole references of RepoTags.
func canonical(tags []string) ([]string, error) {
	var out []string
	for _, t := range tags {
		r, err := ref.Parse(t)
		if err != nil {
			return nil, fmt.Errorf("name %q: %w", t, err)
		}
		out = append(out, r.String())
	}
	return out, nil
}
