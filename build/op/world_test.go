package op

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/snapshot/overlay"
	"github.com/mica-build/mica/store"
)

// newWorld is a world with a store and overlays, in which no process runs.
func newWorld(t *testing.T) *World {
	t.Helper()
	testenv.Overlay(t)
	dir := t.TempDir()
	if err := overlay.Supported(dir); err != nil {
		t.Skipf("needs overlayfs on the filesystem of %s: %v", dir, err)
	}
	st, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Store: st, Mounter: overlay.New(), Steps: &solve.Steps{}}
	t.Cleanup(func() {
		w.Close()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// long is the time of files in layers.
var long = time.Unix(1500000000, 0)

// publish makes a stack of one layer with files.
func publish(t *testing.T, w *World, files map[string]string) solve.Value {
	t.Helper()
	d, err := w.Store.NewLayer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		p := filepath.Join(d.Dir, name)
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		if err == nil {
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err == nil {
			err = os.Chtimes(p, long, long)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := d.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return solve.Value{Key: solve.Hash("test", string(l.ID)), Layers: []*solve.Layer{solve.Stored(l)}}
}

// read is a file of a layer.
func read(t *testing.T, l store.Layer, name string) string {
	t.Helper()
	return content(t, filepath.Join(l.Dir, name))
}

func content(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sameFile says whether two names are one file.
func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	one, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(one, two)
}
