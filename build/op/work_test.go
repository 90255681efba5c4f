package op

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/solve"
)

// A work puts one layer on its base, also when nothing was written, and takes
// out what is not a change.
func TestWork(t *testing.T) {
	w := newWorld(t)
	base := publish(t, w, map[string]string{"keep": "k", "gone": "g", "touched": "t"})
	for _, c := range []struct {
		name string
		do   func(root string) error
		want []string
	}{
		{name: "nothing", do: func(string) error { return nil }},
		{name: "a new file", do: func(r string) error { return os.WriteFile(filepath.Join(r, "new"), nil, 0o600) }, want: []string{"new"}},
		{name: "a deletion", do: func(r string) error { return os.Remove(filepath.Join(r, "gone")) }, want: []string{"gone (deleted)"}},
		{name: "a change taken back", do: func(r string) error {
			p := filepath.Join(r, "touched")
			if err := os.Chmod(p, 0o600); err != nil {
				return err
			}
			return os.Chmod(p, 0o644)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := w.start(t.Context(), base)
			if err != nil {
				t.Fatal(err)
			}
			defer k.discard()
			if err := c.do(k.tree.Path()); err != nil {
				t.Fatal(err)
			}
			v, err := k.commit(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Layers) != 2 || v.Layers[0] != base.Layers[0] || v.Key != "" {
				t.Fatalf("stack %v, key %q", v.Layers, v.Key)
			}
			l, err := v.Layers[1].Tree(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, names(t, l.Dir)); diff != "" {
				t.Errorf("layer (-want +got):\n%s", diff)
			}
		})
	}
}

// A work that is dropped leaves nothing, and what it stood on as it was.
func TestWorkDiscarded(t *testing.T) {
	w := newWorld(t)
	base := publish(t, w, map[string]string{"f": "f"})
	k, err := w.start(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	draft := k.draft.Dir
	if err := os.WriteFile(filepath.Join(k.tree.Path(), "f"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	k.discard()
	k.discard()
	if _, err := os.Stat(draft); !os.IsNotExist(err) {
		t.Errorf("the draft: %v", err)
	}
	l, err := base.Layers[0].Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, l, "f"); got != "f" {
		t.Errorf("the base has %q", got)
	}
}

// A layer that stands in a stack twice counts at its higher place.
func TestLowers(t *testing.T) {
	w := newWorld(t)
	a, b := publish(t, w, map[string]string{"a": ""}), publish(t, w, map[string]string{"b": ""})
	one, err := stack(a, b).Stack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dirA, dirB := one[0].Dir, one[1].Dir
	for _, c := range []struct {
		name string
		v    solve.Value
		want []string
	}{
		{"scratch", solve.Value{}, []string{}},
		{"two", stack(a, b), []string{dirA, dirB}},
		{"twice", stack(a, b, a), []string{dirB, dirA}},
		{"in a row", stack(a, a), []string{dirA}},
	} {
		got, err := w.lowers(t.Context(), c.v)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// names lists what is right in a layer tree.
func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(dir, e.Name()), &st); err != nil {
			t.Fatal(err)
		}
		name := e.Name()
		if st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 {
			name += " (deleted)"
		}
		out = append(out, name)
	}
	return out
}
