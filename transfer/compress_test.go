package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/store"
)

func openStore(t *testing.T) *store.Store {
	t.Helper()
	testenv.Root(t)
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// built is an image as a build leaves it: its layers are trees.
func built(t *testing.T, st *store.Store, texts ...string) image.Descriptor {
	t.Helper()
	m := image.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeManifest}
	for _, text := range texts {
		d, err := st.NewLayer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(d.Dir, "f")
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{p, d.Dir} {
			if err := os.Chtimes(p, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
		l, err := d.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if l, err = st.Identify(t.Context(), l.ID); err != nil {
			t.Fatal(err)
		}
		m.Layers = append(m.Layers, image.Descriptor{MediaType: image.MediaTypeLayer, Digest: l.DiffID, Size: l.Size})
	}
	var err error
	if m.Config, err = st.WriteBlob(t.Context(), image.MediaTypeConfig, []byte(`{"os":"linux","architecture":"amd64"}`)); err != nil {
		t.Fatal(err)
	}
	return writeJSON(t, st, m.MediaType, m)
}

func writeJSON(t *testing.T, st *store.Store, mediaType string, v any) image.Descriptor {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	d, err := st.WriteBlob(t.Context(), mediaType, raw)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func compress(t *testing.T, st *store.Store, root image.Descriptor, o Options) (image.Descriptor, image.Manifest) {
	t.Helper()
	d, err := Compress(t.Context(), st, root, o)
	if err != nil {
		t.Fatal(err)
	}
	return d, manifest(t, st, d)
}

func manifest(t *testing.T, st *store.Store, d image.Descriptor) image.Manifest {
	t.Helper()
	raw, err := st.ReadBlob(t.Context(), d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := image.ParseManifest(raw)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// plainDigest is the digest of a layer's tar.
func plainDigest(t *testing.T, st *store.Store, d image.Descriptor) digest.Digest {
	t.Helper()
	rc, err := st.Fetch(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	r, _, err := layer.Decompress(rc)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := digest.FromReader(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestCompress(t *testing.T) {
	st := openStore(t)
	root := built(t, st, "one", strings.Repeat("two", 1000))
	before := manifest(t, st, root)
	for _, c := range []struct {
		name string
		o    Options
		want string // media type of the layers
	}{
		{"gzip", Options{Kind: "gzip"}, image.MediaTypeLayerGzip},
		{"gzip by level", Options{Kind: "gzip", Level: 9}, image.MediaTypeLayerGzip},
		{"zstd", Options{Kind: "zstd"}, image.MediaTypeLayerZstd},
		{"none", Options{}, image.MediaTypeLayer},
		{"none, by force", Options{Force: true}, image.MediaTypeLayer},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, m := compress(t, st, root, c.o)
			if (d.Digest == root.Digest) != (c.want == image.MediaTypeLayer) {
				t.Errorf("%s became %s", root.Digest, d.Digest)
			}
			if d.MediaType != root.MediaType || m.Config.Digest != before.Config.Digest {
				t.Errorf("a %s with config %s", d.MediaType, m.Config.Digest)
			}
			for i, l := range m.Layers {
				if l.MediaType != c.want || plainDigest(t, st, l) != before.Layers[i].Digest {
					t.Errorf("layer %d is a %s of %s, want a %s of %s", i, l.MediaType, plainDigest(t, st, l), c.want, before.Layers[i].Digest)
				}
				if ok, err := st.Exists(t.Context(), l); !ok || err != nil {
					t.Errorf("layer %d is not in the store: %v", i, err)
				}
			}
		})
	}
}

// The bytes are the same in another store, and the second time they are
// remembered rather than made, as long as the blob is there.
func TestCompressOnce(t *testing.T) {
	one, two := openStore(t), openStore(t)
	o := Options{Kind: "gzip"}
	root := built(t, one, "text")
	first, m := compress(t, one, root, o)
	if other, _ := compress(t, two, built(t, two, "text"), o); other.Digest != first.Digest {
		t.Errorf("%s here, %s there", first.Digest, other.Digest)
	}
	memo := "compressed/" + manifest(t, one, root).Layers[0].Digest.Encoded() + "-gzip-0"
	kept, err := one.State(memo)
	if err != nil {
		t.Fatal(err)
	}
	// What is remembered is believed: another blob that is there shows that
	// nothing was compressed again.
	other, err := one.WriteBlob(t.Context(), image.MediaTypeLayerGzip, []byte("other"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		memo string
		want digest.Digest
	}{
		{"remembered", other.Digest.String() + " 5", other.Digest},
		{"a blob that is gone", digest.FromString("gone").String() + " 5", m.Layers[0].Digest},
		{"damaged", "x", m.Layers[0].Digest},
		{"without a size", other.Digest.String(), m.Layers[0].Digest},
	} {
		if err := one.PutState(memo, []byte(c.memo)); err != nil {
			t.Fatal(err)
		}
		if _, m := compress(t, one, root, o); m.Layers[0].Digest != c.want {
			t.Errorf("%s: %s, want %s", c.name, m.Layers[0].Digest, c.want)
		}
	}
	if again, err := one.State(memo); err != nil || string(again) != string(kept) {
		t.Errorf("the memo says %q, %v; want %q", again, err, kept)
	}
}

// Layers that are compressed stay as they came, unless another kind is forced.
func TestCompressForce(t *testing.T) {
	st := openStore(t)
	gz, before := compress(t, st, built(t, st, "text"), Options{Kind: "gzip"})
	if same, _ := compress(t, st, gz, Options{Kind: "zstd"}); same.Digest != gz.Digest {
		t.Errorf("%s became %s without force", gz.Digest, same.Digest)
	}
	plain := plainDigest(t, st, before.Layers[0])
	for kind, want := range map[string]string{"zstd": image.MediaTypeLayerZstd, "": image.MediaTypeLayer, "gzip": image.MediaTypeLayerGzip} {
		_, m := compress(t, st, gz, Options{Kind: kind, Force: true})
		if l := m.Layers[0]; l.MediaType != want || plainDigest(t, st, l) != plain {
			t.Errorf("%q: a %s of %s", kind, l.MediaType, plainDigest(t, st, l))
		}
	}
}

// An index lists the compressed manifests, and keeps what it says of them.
func TestCompressIndex(t *testing.T) {
	st := openStore(t)
	arm := image.Platform{OS: "linux", Architecture: "arm64"}
	one, two := built(t, st, "one"), built(t, st, "two")
	two.Platform, two.Annotations, two.Data = &arm, map[string]string{"a": "b"}, []byte("of the old manifest")
	root := writeJSON(t, st, image.MediaTypeIndex, image.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeIndex, Manifests: []image.Descriptor{one, two},
	})
	d, err := Compress(t.Context(), st, root, Options{Kind: "gzip"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := st.ReadBlob(t.Context(), d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := compress(t, st, two, Options{Kind: "gzip"})
	want := image.Descriptor{MediaType: two.MediaType, Digest: got.Digest, Size: got.Size, Platform: &arm, Annotations: two.Annotations}
	if diff := cmp.Diff(want, x.Manifests[1]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if again, err := Compress(t.Context(), st, d, Options{Kind: "gzip"}); err != nil || again.Digest != d.Digest {
		t.Errorf("compressed again to %s, %v", again.Digest, err)
	}
}

func TestCompressRefuses(t *testing.T) {
	st := openStore(t)
	root := built(t, st, "text")
	if _, err := Compress(t.Context(), st, root, Options{Kind: "lz4"}); !errors.Is(err, errs.ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
	missing := image.Descriptor{MediaType: image.MediaTypeManifest, Digest: digest.FromString("x"), Size: 1}
	if _, err := Compress(t.Context(), st, missing, Options{Kind: "gzip"}); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Compress(ctx, st, root, Options{Kind: "gzip"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
}

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		name     string
		attrs    map[string]string
		fallback string
		want     Options
		err      error
	}{
		{name: "nothing", want: Options{}},
		{name: "the fallback", fallback: "gzip", want: Options{Kind: "gzip"}},
		{name: "named", attrs: map[string]string{"compression": "zstd", "compression-level": "19"}, fallback: "gzip", want: Options{Kind: "zstd", Level: 19}},
		{name: "none", attrs: map[string]string{"compression": "uncompressed"}, fallback: "gzip", want: Options{}},
		{name: "force", attrs: map[string]string{"force-compression": "true"}, want: Options{Force: true}},
		{name: "unknown", attrs: map[string]string{"compression": "lz4"}, err: errs.ErrUnsupported},
		{name: "estargz", attrs: map[string]string{"compression": "estargz"}, err: errs.ErrUnsupported},
		{name: "level of gzip", attrs: map[string]string{"compression": "gzip", "compression-level": "10"}, err: errs.ErrInvalid},
		{name: "level", attrs: map[string]string{"compression-level": "-1"}, err: errs.ErrInvalid},
		{name: "no number", attrs: map[string]string{"compression-level": "best"}, err: errs.ErrInvalid},
		{name: "no bool", attrs: map[string]string{"force-compression": "maybe"}, err: errs.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseOptions(c.attrs, c.fallback)
			if !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if c.err == nil && got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}
