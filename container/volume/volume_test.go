//go:build linux

package volume

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/store"
)

func open(t *testing.T) *Folder {
	t.Helper()
	testenv.Root(t)
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewFolder(s)
}

func TestVolumes(t *testing.T) {
	f := open(t)
	if list, err := f.List(); len(list) > 0 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	v, created, err := f.Create(t.Context(), Volume{Name: "data", Labels: map[string]string{"a": "b"}})
	if err != nil || !created {
		t.Fatal(created, err)
	}
	if err := os.WriteFile(filepath.Join(v.Dir(), "file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, created, err := f.Create(t.Context(), Volume{Name: "data"})
	if err != nil || created || again.Labels["a"] != "b" {
		t.Errorf("%+v, %v, %v", again, created, err)
	}
	anon, _, err := f.Create(t.Context(), Volume{})
	if err != nil || !anon.Anonymous || len(anon.Name) != 64 {
		t.Errorf("%+v, %v", anon, err)
	}
	if list, err := f.List(); len(list) != 2 || err != nil {
		t.Errorf("%v, %v", list, err)
	}
	if err := f.Remove(v); err != nil {
		t.Error(err)
	}
	if _, err := f.Find("data"); !errors.Is(err, errs.ErrNotFound) {
		t.Error(err)
	}
	for _, name := range []string{"../x", "a/b", "a b", ".x", "x"} {
		if _, _, err := f.Create(t.Context(), Volume{Name: name}); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := f.Find(name); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestFill copies what an image has, with owner and mode, once.
func TestFill(t *testing.T) {
	f := open(t)
	root := t.TempDir()
	dir := filepath.Join(root, "data")
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "sub"), 0o700), os.WriteFile(filepath.Join(dir, "sub/file"), []byte("seed"), 0o640),
		os.Chown(filepath.Join(dir, "sub/file"), 33, 34), os.Chown(dir, 35, 36), os.Chmod(dir, 0o750|os.ModeSetgid),
		os.Symlink("/data", filepath.Join(root, "link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := os.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for name, in := range map[string]string{"plain": "/data", "through": "/link", "empty": "/none"} {
		v, _, err := f.Create(t.Context(), Volume{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Fill(t.Context(), r, in); err != nil {
			t.Fatal(err)
		}
		if name == "empty" {
			continue
		}
		var st syscall.Stat_t
		if err := syscall.Stat(v.Dir(), &st); err != nil || st.Uid != 35 || st.Gid != 36 || st.Mode&0o7777 != 0o2750 {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
		file := filepath.Join(v.Dir(), "sub/file")
		if err := syscall.Stat(file, &st); err != nil || st.Uid != 33 || st.Gid != 34 || st.Mode&0o7777 != 0o640 {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
		if err := os.WriteFile(file, []byte("changed"), 0); err != nil {
			t.Fatal(err)
		}
		if err := v.Fill(t.Context(), r, in); err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(file); err != nil || string(raw) != "changed" {
			t.Errorf("%s: filled twice: %q, %v", name, raw, err)
		}
	}
}
