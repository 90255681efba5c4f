//go:build linux

package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
)

// commit publishes a layer with the given files.
func commit(t testing.TB, s *Store, files map[string]string) Layer {
	t.Helper()
	d, err := s.NewLayer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Discard()
	for name, text := range files {
		p := filepath.Join(d.Dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := d.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantTree checks the files of a layer.
func wantTree(t testing.TB, l Layer, files map[string]string) {
	t.Helper()
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(l.Dir, name))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// empty checks that a folder of the store has no files.
func empty(t testing.TB, s *Store, folders ...string) {
	t.Helper()
	for _, f := range folders {
		err := s.eachFile(f, func(p string) error {
			t.Errorf("left behind: %s", p)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

var someFiles = map[string]string{"etc/passwd": "root:x:0:0", "bin/sh": "#!", "empty": ""}

func TestCommit(t *testing.T) {
	s := open(t, "")
	l := commit(t, s, someFiles)
	wantTree(t, l, someFiles)
	got, err := s.Layer(t.Context(), l.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, got); diff != "" {
		t.Errorf("layer (-want +got):\n%s", diff)
	}
	if st, err := os.Stat(l.Dir); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("root of the layer: %v, %v, want 0755", st.Mode(), err)
	}
	for _, id := range []LayerID{"absent", "", "../layers/" + l.ID, "."} {
		if _, err := s.Layer(t.Context(), id); !errors.Is(err, errs.ErrNotFound) && !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("layer %q: %v, want ErrNotFound or ErrInvalid", id, err)
		}
	}
}

func TestCommitOnce(t *testing.T) {
	s := open(t, "")
	d, err := s.NewLayer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Commit(t.Context()); err == nil {
		t.Error("a draft was committed twice")
	}
	if err := d.Discard(); err != nil {
		t.Errorf("discard after commit: %v", err)
	}
}

func TestDiscard(t *testing.T) {
	root := filepath.Join(t.TempDir(), "s")
	s, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.NewLayer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Dir, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the draft is still there: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	empty(t, s, "layers", "tmp", "leases")
}

// TestIdentify follows a layer that is made here to its digest, to its bytes
// written on the fly, and from them back to a tree.
func TestIdentify(t *testing.T) {
	s := open(t, "")
	l := commit(t, s, someFiles)
	if l.DiffID != "" {
		t.Fatalf("diff id %s before anyone asked", l.DiffID)
	}
	l, err := s.Identify(t.Context(), l.ID)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := s.LayerByDiffID(t.Context(), l.DiffID); err != nil || same.ID != l.ID {
		t.Errorf("layer by diff id = %s, %v, want %s", same.ID, err, l.ID)
	}
	d := image.Descriptor{MediaType: image.MediaTypeLayer, Digest: l.DiffID, Size: l.Size}
	if ok, err := s.Exists(t.Context(), d); !ok || err != nil {
		t.Errorf("exists = %v, %v, want true", ok, err)
	}
	r, err := s.Fetch(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	tar, err := io.ReadAll(r)
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.FromBytes(tar); got != l.DiffID {
		t.Errorf("the tar has digest %s, want %s", got, l.DiffID)
	}
	other := open(t, "")
	wantTree(t, unpackTar(t, other, tar, "gzip"), someFiles)
}

// unpackTar pushes tar compressed and unpacks it.
func unpackTar(t testing.TB, s *Store, tar []byte, kind string) Layer {
	t.Helper()
	var b bytes.Buffer
	w, err := layer.Compress(&b, kind, 0)
	if err == nil {
		_, err = w.Write(tar)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.WriteBlob(t.Context(), image.MediaTypeLayerGzip, b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.Unpack(t.Context(), d, digest.FromBytes(tar))
	if err != nil {
		t.Fatal(err)
	}
	return l
}
