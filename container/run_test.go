//go:build linux

package container

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/snapshot/overlay"
	"github.com/mica-build/mica/store"
)

// fixture is a store with an image of two layers in it.
type fixture struct {
	store  *store.Store
	layers []image.Descriptor
	config image.Config
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	testenv.Overlay(t)
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fixture{store: s, config: config(nil, []string{"/run"})}
	f.layer(t, "run", "data/seed")
	f.layer(t, "upper")
	return f
}

// layer adds a layer with files whose content is their name.
func (f *fixture) layer(t *testing.T, names ...string) {
	t.Helper()
	d, err := f.store.NewLayer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		path := filepath.Join(d.Dir, n)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := d.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if l, err = f.store.Identify(t.Context(), l.ID); err != nil {
		t.Fatal(err)
	}
	f.layers = append(f.layers, image.Descriptor{MediaType: image.MediaTypeLayer, Digest: l.DiffID, Size: l.Size})
	f.config.RootFS.DiffIDs = append(f.config.RootFS.DiffIDs, l.DiffID)
}

// run runs the image with f in place of a process.
func (f *fixture) run(t *testing.T, o Options, process func(s *sandbox.Spec) error) error {
	t.Helper()
	r := &Runner{Store: f.store, Mounter: overlay.New(), Sandbox: func(_ context.Context, s *sandbox.Spec) error { return process(s) }}
	return r.Run(t.Context(), f.layers, f.config, o)
}

// pathIn is name in an open root.
func pathIn(root *os.File, name string) string {
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(root.Fd())), name)
}

// temporaries lists what drafts and mounts leave in the store.
func (f *fixture) temporaries(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(f.store.Root(), "tmp", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRun(t *testing.T) {
	f := newFixture(t)
	before := f.temporaries(t)
	err := f.run(t, Options{Dir: "/made/here"}, func(s *sandbox.Spec) error {
		for _, name := range []string{"run", "upper", "data/seed"} {
			if got, err := os.ReadFile(pathIn(s.Root, name)); err != nil || string(got) != name {
				t.Errorf("%s holds %q, %v", name, got, err)
			}
		}
		if fi, err := os.Stat(pathIn(s.Root, "made/here")); err != nil || !fi.IsDir() {
			t.Errorf("working directory: %v", err)
		}
		return os.WriteFile(pathIn(s.Root, "data/seed"), []byte("changed"), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, f.temporaries(t)); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
	err = f.run(t, Options{}, func(s *sandbox.Spec) error {
		if got, err := os.ReadFile(pathIn(s.Root, "data/seed")); err != nil || string(got) != "data/seed" {
			t.Errorf("after a run that wrote to it the image's file holds %q, %v", got, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVolumesOfReadonlyRoot(t *testing.T) {
	f := newFixture(t)
	f.config.Config.Volumes = map[string]struct{}{"/data": {}}
	o := Options{Volumes: []string{"/new"}, Sandbox: sandbox.Spec{ReadonlyRoot: true}}
	err := f.run(t, o, func(s *sandbox.Spec) error {
		if len(s.Mounts) != 2 {
			t.Fatalf("mounts %+v, want two volumes", s.Mounts)
		}
		for i, want := range []string{"/data", "/new"} {
			m := s.Mounts[i]
			if m.Target != want || m.ReadOnly {
				t.Errorf("mount %+v, want a writable %s", m, want)
			}
			if err := os.WriteFile(pathIn(m.SourceFile, m.Subpath+"/x"), nil, 0o644); err != nil {
				t.Error(err)
			}
		}
		if _, err := os.Stat(pathIn(s.Mounts[0].SourceFile, "data/seed")); err != nil {
			t.Errorf("the image's file is not in the volume: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRunErrors(t *testing.T) {
	f := newFixture(t)
	before := f.temporaries(t)
	boom := &sandbox.ExitError{Code: 7}
	err := f.run(t, Options{}, func(*sandbox.Spec) error { return boom })
	if exit := new(sandbox.ExitError); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("error %v, want exit code 7", err)
	}
	f.config.RootFS.DiffIDs = append(f.config.RootFS.DiffIDs, digest.FromString("more"))
	err = f.run(t, Options{}, func(*sandbox.Spec) error { t.Error("it ran"); return nil })
	if !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("error %v, want errs.ErrInvalid", err)
	}
	if diff := cmp.Diff(before, f.temporaries(t)); diff != "" {
		t.Errorf("left behind:\n%s", diff)
	}
}
