//go:build linux

package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// buildImage makes an image of one layer that is kept only as a tree, and an
// index around it.
func buildImage(t testing.TB, s *Store, text string) (image.Descriptor, Layer) {
	t.Helper()
	l := commit(t, s, map[string]string{"file": text})
	l, err := s.Identify(t.Context(), l.ID)
	if err != nil {
		t.Fatal(err)
	}
	write := func(mediaType string, v any) image.Descriptor { return writeJSON(t, s, mediaType, v) }
	var c image.Config
	c.OS, c.Architecture, c.RootFS.Type, c.RootFS.DiffIDs = "linux", "amd64", "layers", []digest.Digest{l.DiffID}
	m := image.Manifest{MediaType: image.MediaTypeManifest, Config: write(image.MediaTypeConfig, c)}
	m.Layers = []image.Descriptor{{MediaType: image.MediaTypeLayer, Digest: l.DiffID, Size: l.Size}}
	x := image.Index{MediaType: image.MediaTypeIndex, Manifests: []image.Descriptor{write(image.MediaTypeManifest, m)}}
	return write(image.MediaTypeIndex, x), l
}

func writeJSON(t testing.TB, s *Store, mediaType string, v any) image.Descriptor {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.WriteBlob(t.Context(), mediaType, b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// prune is Prune of all that nothing needs, reported with and without doing it.
func prune(t testing.TB, s *Store, o PruneOptions) Report {
	t.Helper()
	o.DryRun = true
	dry, err := s.Prune(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.DryRun = false
	r, err := s.Prune(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dry, r); diff != "" {
		t.Errorf("dry run and real run differ (-dry +real):\n%s", diff)
	}
	return r
}

func TestPruneKeepsWhatIsReached(t *testing.T) {
	root := filepath.Join(t.TempDir(), "s")
	maker, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	named, layer := buildImage(t, maker, "named")
	if err := maker.Tag(t.Context(), "app", named); err != nil {
		t.Fatal(err)
	}
	dangling, danglingLayer := buildImage(t, maker, "dangling")
	if err := maker.Tag(t.Context(), "", dangling); err != nil {
		t.Fatal(err)
	}
	loose, looseLayer := buildImage(t, maker, "loose")
	recorded := commit(t, maker, someFiles)
	put(t, maker, "aaaa", recorded.ID)
	orphan := commit(t, maker, someFiles)

	s := open(t, root)
	if r := prune(t, s, PruneOptions{}); r.Blobs+r.Layers != 0 {
		t.Errorf("removed %+v although a live lease pins it all", r)
	}
	if err := maker.Close(); err != nil {
		t.Fatal(err)
	}
	if r := prune(t, s, PruneOptions{}); r.Blobs != 3 || r.Layers != 2 || r.Reclaimed <= 0 {
		t.Errorf("removed %+v, want the 3 blobs and 2 layers nobody needs", r)
	}
	wantLayers(t, s, map[LayerID]bool{layer.ID: true, danglingLayer.ID: true, recorded.ID: true, looseLayer.ID: false, orphan.ID: false})
	wantImages(t, s, map[digest.Digest]bool{named.Digest: true, dangling.Digest: true, loose.Digest: false})

	s = reopen(t, s)
	if err := s.Forget(t.Context(), dangling.Digest); err != nil {
		t.Fatal(err)
	}
	r := prune(t, s, PruneOptions{Records: func(r *Record) bool { return r.Key == "aaaa" }})
	want := Report{Blobs: 3, Layers: 2, Records: 1, RemovedRecords: []Key{"aaaa"}}
	if diff := cmp.Diff(want, r, cmpopts.IgnoreFields(Report{}, "Reclaimed", "Objects")); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	sum := int64(0)
	for _, o := range r.Objects {
		sum += o.Size
	}
	if len(r.Objects) != 7 || sum != r.Reclaimed { // an entry of the index too
		t.Errorf("objects %+v, want 7 of %d bytes together", r.Objects, r.Reclaimed)
	}
	wantLayers(t, s, map[LayerID]bool{layer.ID: true, danglingLayer.ID: false, recorded.ID: false})
	empty(t, s, "trash", "records")
}

func reopen(t testing.TB, s *Store) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, s.Root())
}

func wantLayers(t testing.TB, s *Store, want map[LayerID]bool) {
	t.Helper()
	for id, there := range want {
		_, err := s.byID(id)
		if (err == nil) != there || err != nil && !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("layer %s: %v, want it there: %v", id, err, there)
		}
	}
}

func wantImages(t testing.TB, s *Store, want map[digest.Digest]bool) {
	t.Helper()
	for d, there := range want {
		if _, err := s.ReadBlob(t.Context(), d); (err == nil) != there {
			t.Errorf("image %s: %v, want it there: %v", d, err, there)
		}
	}
}

// TestPruneRepairsTheIndex checks that an image does not lose a layer because the
// index from diffIDs, which can be rebuilt, was lost.
func TestPruneRepairsTheIndex(t *testing.T) {
	s := open(t, "")
	d, l := buildImage(t, s, "x")
	if err := s.Tag(t.Context(), "app", d); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if err := os.RemoveAll(s.path("diffids")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.path("diffids"), 0o700); err != nil {
		t.Fatal(err)
	}
	layer := image.Descriptor{MediaType: image.MediaTypeLayer, Digest: l.DiffID, Size: l.Size}
	r, err := s.Fetch(t.Context(), layer)
	if err != nil {
		t.Fatalf("fetch without the index: %v", err)
	}
	r.Close()
	s = reopen(t, s)
	prune(t, s, PruneOptions{})
	if got, err := s.LayerByDiffID(t.Context(), l.DiffID); err != nil || got.ID != l.ID {
		t.Errorf("layer by diff id = %s, %v, want %s", got.ID, err, l.ID)
	}
}

func TestPruneRemovesDebris(t *testing.T) {
	s := open(t, "")
	l := commit(t, s, someFiles)
	put(t, s, "aaaa", l.ID)
	for _, dir := range []string{"layers/nometa/fs", "tmp/123-dead/layer-1/fs", "trash/x/y"} {
		if err := os.MkdirAll(s.path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(s.path("leases", "123-dead"), []byte("\nl "+string(l.ID)), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, s, "damaged")
	if err := os.Truncate(s.recordPath("damaged"), 5); err != nil {
		t.Fatal(err)
	}
	prune(t, s, PruneOptions{})
	for _, p := range []string{"records/da/damaged", "layers/nometa", "tmp/123-dead", "trash/x", "leases/123-dead"} {
		if _, err := os.Lstat(s.path(p)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", p, err)
		}
	}
	wantLayers(t, s, map[LayerID]bool{l.ID: true})
}

func TestUnpin(t *testing.T) {
	s := open(t, "")
	d, l := buildImage(t, s, "x")
	prune(t, s, PruneOptions{})
	wantLayers(t, s, map[LayerID]bool{l.ID: true})
	if err := s.Unpin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Pin(t.Context(), d.Digest); err != nil {
		t.Fatal(err)
	}
	prune(t, s, PruneOptions{})
	wantLayers(t, s, map[LayerID]bool{l.ID: true})
	if err := s.Unpin(t.Context()); err != nil {
		t.Fatal(err)
	}
	prune(t, s, PruneOptions{})
	wantLayers(t, s, map[LayerID]bool{l.ID: false})
	if err := s.Pin(t.Context(), d.Digest); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("pin of what is gone: %v, want ErrNotFound", err)
	}
}

// TestUsage checks the sums against du.
func TestUsage(t *testing.T) {
	s := open(t, "")
	buildImage(t, s, strings.Repeat("x", 100_000))
	l := commit(t, s, someFiles)
	if err := os.Link(filepath.Join(l.Dir, "empty"), filepath.Join(l.Dir, "again")); err != nil {
		t.Fatal(err)
	}
	cacheMount(t, s, "id", Shared)
	s.removals.Wait() // or du looks at other things
	u, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("du", "-s", "-B1", s.Root()).Output()
	if err != nil {
		t.Skipf("needs du: %v", err)
	}
	want, err := strconv.ParseInt(string(bytes.Fields(out)[0]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if got := u.Blobs + u.Layers + u.CacheMounts + u.Other; got != want {
		t.Errorf("usage %+v is %d together, du says %d", u, got, want)
	}
	if u.Layers < 100_000 || u.Blobs <= 0 || u.CacheMounts <= 0 || u.Other <= 0 {
		t.Errorf("usage %+v: a part is too small", u)
	}
}

// TestLayers checks what is known of layers that nobody has measured before.
func TestLayers(t *testing.T) {
	s := open(t, "")
	l := commit(t, s, map[string]string{"file": strings.Repeat("x", 50_000)})
	s = reopen(t, s)
	for range 2 { // measured, remembered
		list, err := s.Layers(t.Context())
		if err != nil || len(list) != 1 || list[0].ID != l.ID || list[0].Usage < 50_000 {
			t.Fatalf("layers %+v, %v; want %s of 50000 bytes and more", list, err, l.ID)
		}
	}
	if pins, err := s.Pinned(t.Context()); err != nil || len(pins) != 0 {
		t.Errorf("pinned %v, %v; want nothing", pins, err)
	}
	if _, err := s.Layer(t.Context(), l.ID); err != nil {
		t.Fatal(err)
	}
	if pins, err := s.Pinned(t.Context()); err != nil || !pins[l.ID] {
		t.Errorf("pinned %v, %v; want %s", pins, err, l.ID)
	}
	r, err := reopen(t, s).Prune(t.Context(), PruneOptions{Background: true})
	if err != nil || r.Layers != 1 {
		t.Errorf("prune in the background: %+v, %v; want one layer", r, err)
	}
}
