package contenttest

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
)

// Layer is a layer tar with one file.
func Layer(t testing.TB, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}))
	_, err := w.Write([]byte(text))
	must(t, err)
	must(t, w.Close())
	return b.Bytes()
}

// Push stores a linux/amd64 image with one uncompressed layer for each text and
// describes its manifest.
func Push(t testing.TB, p content.Pusher, texts ...string) image.Descriptor {
	t.Helper()
	return PushFor(t, p, image.Platform{OS: "linux", Architecture: "amd64"}, texts...)
}

// PushFor is Push for another platform.
func PushFor(t testing.TB, p content.Pusher, platform image.Platform, texts ...string) image.Descriptor {
	t.Helper()
	var c image.Config
	c.Platform = platform
	c.RootFS.Type = "layers"
	c.RootFS.DiffIDs = []digest.Digest{}
	m := image.Manifest{MediaType: image.MediaTypeManifest, Layers: []image.Descriptor{}}
	m.SchemaVersion = 2
	for _, text := range texts {
		raw := Layer(t, "file", text)
		d := push(t, p, image.MediaTypeLayer, raw)
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, d.Digest)
		c.History = append(c.History, image.History{CreatedBy: text})
		m.Layers = append(m.Layers, d)
	}
	m.Config = push(t, p, image.MediaTypeConfig, marshal(t, c))
	d := push(t, p, image.MediaTypeManifest, marshal(t, m))
	d.Platform = &platform
	return d
}

// PushIndex stores an index of the given manifests.
func PushIndex(t testing.TB, p content.Pusher, manifests ...image.Descriptor) image.Descriptor {
	t.Helper()
	x := image.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: manifests}
	x.SchemaVersion = 2
	return push(t, p, image.MediaTypeIndex, marshal(t, x))
}

func push(t testing.TB, p content.Pusher, mediaType string, raw []byte) image.Descriptor {
	t.Helper()
	d := image.NewDescriptor(mediaType, raw)
	must(t, p.Push(context.Background(), d, bytes.NewReader(raw)))
	return d
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	must(t, err)
	return raw
}
