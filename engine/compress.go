package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
)

// compress gives the manifest or index target with all layers compressed:
// target itself if they are, a new one in the store otherwise.
func (e *Engine) compress(ctx context.Context, target image.Descriptor) (image.Descriptor, error) {
	if image.IsIndex(target.MediaType) {
		return e.compressIndex(ctx, target)
	}
	if !image.IsManifest(target.MediaType) {
		return target, nil
	}
	raw, err := e.store.ReadBlob(ctx, target.Digest)
	if err != nil {
		return target, err
	}
	m, err := image.ParseManifest(raw)
	if err != nil {
		return target, err
	}
	changed := false
	for i, l := range m.Layers {
		if m.Layers[i], err = e.compressLayer(ctx, l); err != nil {
			return target, fmt.Errorf("compress layer %s: %w", l.Digest, err)
		}
		changed = changed || m.Layers[i].Digest != l.Digest
	}
	if !changed {
		return target, nil
	}
	return e.rewrite(ctx, target, m)
}

func (e *Engine) compressIndex(ctx context.Context, target image.Descriptor) (image.Descriptor, error) {
	x, err := e.index(ctx, target)
	if err != nil {
		return target, err
	}
	changed := map[digest.Digest]digest.Digest{}
	for i, d := range x.Manifests {
		if x.Manifests[i], err = e.compress(ctx, d); err != nil {
			return target, err
		}
		if x.Manifests[i].Digest != d.Digest {
			changed[d.Digest] = x.Manifests[i].Digest
		}
	}
	if len(changed) == 0 {
		return target, nil
	}
	for _, d := range x.Manifests {
		of := digest.Digest(d.Annotations[attestationOf])
		if now, ok := changed[of]; ok {
			d.Annotations[attestationOf] = now.String()
		}
	}
	return e.rewrite(ctx, target, x)
}

// attestationOf is the annotation by which an attestation in an index names the
// manifest it is about.
const attestationOf = "vnd.docker.reference.digest"

// rewrite stores a changed manifest or index; all but digest and size of its
// descriptor stays.
func (e *Engine) rewrite(ctx context.Context, old image.Descriptor, v any) (image.Descriptor, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return old, err
	}
	d, err := e.store.WriteBlob(ctx, old.MediaType, raw)
	if err != nil {
		return old, err
	}
	old.Digest, old.Size, old.Data = d.Digest, d.Size, nil
	return old, nil
}

// compressLayer gives the gzip form of a layer, making it unless some push made
// it before.
func (e *Engine) compressLayer(ctx context.Context, l image.Descriptor) (image.Descriptor, error) {
	packed := l
	switch l.MediaType {
	case image.MediaTypeLayer:
		packed.MediaType = image.MediaTypeLayerGzip
	case image.DockerLayer:
		packed.MediaType = image.DockerLayerGzip
	default:
		return l, nil
	}
	known := filepath.Join("compressed", "gzip", l.Digest.Encoded())
	if raw, err := e.store.State(known); err == nil {
		var d image.Descriptor
		if json.Unmarshal(raw, &d) == nil && image.CheckDescriptor(d) == nil {
			packed.Digest, packed.Size = d.Digest, d.Size
			if ok, err := e.store.Exists(ctx, packed); err == nil && ok {
				return packed, nil
			}
		}
	}
	d, err := e.gzip(ctx, l, packed.MediaType)
	if err != nil {
		return l, err
	}
	packed.Digest, packed.Size = d.Digest, d.Size
	raw, err := json.Marshal(d)
	if err != nil {
		return l, err
	}
	return packed, e.store.PutState(known, raw)
}

// gzip compresses a layer into the store. The bytes go by way of a file, since
// the store wants to know their digest first.
func (e *Engine) gzip(ctx context.Context, l image.Descriptor, mediaType string) (image.Descriptor, error) {
	dir, err := e.store.TempDir(ctx, "gzip-*")
	if err != nil {
		return l, err
	}
	defer os.RemoveAll(dir)
	f, err := os.Create(filepath.Join(dir, "layer"))
	if err != nil {
		return l, err
	}
	defer f.Close()
	sum := digest.Canonical.Digester()
	if err := e.pack(ctx, io.MultiWriter(f, sum.Hash()), l); err != nil {
		return l, err
	}
	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return l, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return l, err
	}
	d := image.Descriptor{MediaType: mediaType, Digest: sum.Digest(), Size: size}
	return d, e.store.Push(ctx, d, f)
}

// pack writes the compressed bytes of l to w.
func (e *Engine) pack(ctx context.Context, w io.Writer, l image.Descriptor) error {
	r, err := e.store.Fetch(ctx, l)
	if err != nil {
		return err
	}
	defer r.Close()
	z, err := layer.Compress(w, "gzip", 0)
	if err != nil {
		return err
	}
	if _, err := io.Copy(z, r); err != nil {
		z.Close()
		return err
	}
	return z.Close()
}

// index reads the index at d.
func (e *Engine) index(ctx context.Context, d image.Descriptor) (image.Index, error) {
	raw, err := e.store.ReadBlob(ctx, d.Digest)
	if err != nil {
		return image.Index{}, err
	}
	return image.ParseIndex(raw)
}
