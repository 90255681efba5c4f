//go:build linux

package store

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/layer"
)

// pushTar writes a tar as others do and pushes it.
func pushTar(t testing.TB, s *Store, headers ...tar.Header) image.Descriptor {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Format = tar.FormatGNU
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name)) // content is the name
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte(h.Name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := s.WriteBlob(t.Context(), image.MediaTypeLayer, b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func file(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}
}

func folder(name string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}
}

func digests(layers []image.Descriptor) []digest.Digest {
	var out []digest.Digest
	for _, d := range layers {
		out = append(out, d.Digest)
	}
	return out
}

func modeOf(t testing.TB, l Layer, name string) os.FileMode {
	t.Helper()
	st, err := os.Lstat(filepath.Join(l.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return st.Mode() & (os.ModePerm | os.ModeSticky)
}

// TestUnpackImplied checks that a directory a layer does not describe looks like
// the one below, and that this makes a tree of its own only where it must.
func TestUnpackImplied(t *testing.T) {
	testenv.Root(t)
	s := open(t, "")
	sticky := pushTar(t, s, folder("tmp/", 0o1777), folder("etc/", 0o755))
	open0 := pushTar(t, s, folder("tmp/", 0o777))
	both := pushTar(t, s, file("tmp/f"), file("etc/f"))
	plain := pushTar(t, s, file("etc/g"))

	unpack := func(layers ...image.Descriptor) []Layer {
		t.Helper()
		out, err := s.UnpackStack(t.Context(), layers, digests(layers))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	a := unpack(sticky, both, plain)
	if got := modeOf(t, a[1], "tmp"); got != 0o777|os.ModeSticky {
		t.Errorf("tmp on a sticky one is %v", got)
	}
	if got := modeOf(t, a[1], "etc"); got != 0o755 {
		t.Errorf("etc is %v, want 0755", got)
	}
	b := unpack(open0, both)
	if got := modeOf(t, b[1], "tmp"); got != 0o777 {
		t.Errorf("tmp on an open one is %v", got)
	}
	if a[1].ID == b[1].ID {
		t.Error("one tree for parents that differ")
	}
	if got := unpack(plain)[0]; got.ID != a[2].ID {
		t.Error("two trees although the parents make no difference")
	}
	if again := unpack(sticky, both, plain); cmp.Diff(a[:2], again[:2]) != "" {
		t.Errorf("unpacked again (-first +again):\n%s", cmp.Diff(a, again))
	}
	wantTree(t, a[1], map[string]string{"tmp/f": "tmp/f"})
}

func TestUnpackLinkIntoParent(t *testing.T) {
	testenv.Root(t)
	s := open(t, "")
	base := pushTar(t, s, folder("bin/", 0o755), file("bin/a"))
	link := pushTar(t, s, folder("bin/", 0o755), tar.Header{Typeflag: tar.TypeLink, Name: "bin/b", Linkname: "bin/a"})
	var missing *layer.MissingLinkError
	if _, err := s.Unpack(t.Context(), link, link.Digest); !errors.As(err, &missing) {
		t.Fatalf("unpack alone: %v, want a MissingLinkError", err)
	}
	layers := []image.Descriptor{base, link}
	got, err := s.UnpackStack(t.Context(), layers, digests(layers))
	if err != nil {
		t.Fatal(err)
	}
	wantTree(t, got[1], map[string]string{"bin/b": "bin/a"})
	if l, err := s.LayerByDiffID(t.Context(), link.Digest); err != nil || l.ID != got[1].ID {
		t.Errorf("layer by diff id = %s, %v, want %s", l.ID, err, got[1].ID)
	}
}

// TestForeignTarIsKept checks that a tree unpacked from a tar that layer.Diff
// would write otherwise does not pass for the tar.
func TestForeignTarIsKept(t *testing.T) {
	testenv.Root(t)
	maker := open(t, "")
	d := pushTar(t, maker, file("etc/f")) // without its directory
	raw, err := maker.ReadBlob(t.Context(), d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, "")
	unpackTar(t, s, raw, "gzip")
	if ok, err := s.Exists(t.Context(), d); ok || err != nil {
		t.Errorf("exists = %v, %v: the bytes are not to be had", ok, err)
	}
	if _, err := s.Fetch(t.Context(), d); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("fetch: %v, want ErrNotFound", err)
	}
	if err := s.Push(t.Context(), d, bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.ReadBlob(t.Context(), d.Digest); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("read after push: %d bytes, %v, want %d", len(got), err, len(raw))
	}
}

// TestExactTreeWins checks that a layer made here, which gives back its tar, takes
// the place of an unpacked one with the same diffID.
func TestExactTreeWins(t *testing.T) {
	s := open(t, "")
	raw, l := layerTar(t, someFiles)
	unpacked := unpackTar(t, s, raw, "gzip")
	d := image.Descriptor{MediaType: image.MediaTypeLayer, Digest: l.DiffID, Size: l.Size}
	if ok, _ := s.Exists(t.Context(), d); ok {
		t.Error("an unpacked tree passes for its tar")
	}
	made := commit(t, s, someFiles)
	if err := s.SetDiffID(t.Context(), made.ID, l.DiffID, l.Size); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.Exists(t.Context(), d); !ok || err != nil {
		t.Errorf("exists = %v, %v, want true", ok, err)
	}
	if got, err := s.LayerByDiffID(t.Context(), l.DiffID); err != nil || got.ID != made.ID {
		t.Errorf("layer = %s, %v, want %s rather than %s", got.ID, err, made.ID, unpacked.ID)
	}
}
