package op

import (
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/solver/pb"

	"github.com/mica-build/mica/build/solve"
)

// stack puts layers on top of one another.
func stack(vals ...solve.Value) solve.Value {
	var v solve.Value
	for _, x := range vals {
		v.Layers = append(v.Layers, x.Layers...)
		v.Key = solve.Hash("stack", string(v.Key), string(x.Key))
	}
	return v
}

// Only a source that is wholly one layer, and that is not under the copy, is
// opened as that layer.
func TestCopySource(t *testing.T) {
	w := newWorld(t)
	low := publish(t, w, map[string]string{"low/f": "l", "both/f": "l"})
	top := publish(t, w, map[string]string{"top/f": "t", "both/g": "t"})
	for _, c := range []struct {
		name   string
		base   solve.Value
		from   solve.Value
		path   string
		shared bool
	}{
		{name: "one layer", from: stack(low), path: "/", shared: true},
		{name: "a directory of one layer", from: stack(low, top), path: "/low", shared: true},
		{name: "a file of one layer", from: stack(low, top), path: "top/f", shared: true},
		{name: "a merged directory", from: stack(low, top), path: "/both"},
		{name: "all of a stack", from: stack(low, top), path: "/"},
		{name: "a pattern", from: stack(low), path: "/l*"},
		{name: "what is not there", from: stack(low, top), path: "/none"},
		{name: "a layer under the copy", base: stack(low), from: stack(low, top), path: "/low"},
		{name: "a layer that is not under the copy", base: stack(low), from: stack(low, top), path: "/top", shared: true},
		{name: "scratch", path: "/"},
		{name: "a live directory", from: solve.Value{Local: &solve.Local{Dir: t.TempDir()}}, path: "/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := w.start(t.Context(), c.base)
			if err != nil {
				t.Fatal(err)
			}
			defer k.discard()
			src, done, err := w.copySource(t.Context(), k, c.from, c.path)
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			if src.Immutable != c.shared {
				t.Errorf("shared %v, want %v", src.Immutable, c.shared)
			}
		})
	}
}

// A copy gives a second name, and what a later step does to it does not reach
// the layer it came from.
func TestCopyFromLayer(t *testing.T) {
	w := newWorld(t)
	from := publish(t, w, map[string]string{"d/f": "published"})
	run := func(base, from solve.Value, src, dest string) solve.Value {
		t.Helper()
		f, err := copyStep(w, &pb.FileActionCopy{Src: src, Dest: dest, DirCopyContents: true, CreateDestPath: true})
		if err != nil {
			t.Fatal(err)
		}
		in := []solve.Value{base, from}
		if _, err := f.Keys(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		out, err := f.Run(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return out[0]
	}
	top := func(v solve.Value) string {
		t.Helper()
		s, err := v.Stack(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s[len(s)-1].Dir
	}
	copied := run(solve.Value{Key: "scratch"}, from, "/d", "/x")
	if !sameFile(t, filepath.Join(top(from), "d/f"), filepath.Join(top(copied), "x/f")) {
		t.Error("the file was copied")
	}
	other := publish(t, w, map[string]string{"f": "other"})
	run(copied, other, "/f", "/x/f")
	for _, p := range []string{filepath.Join(top(from), "d/f"), filepath.Join(top(copied), "x/f")} {
		if got := content(t, p); got != "published" {
			t.Errorf("%s has %q after a step on top replaced the file", p, got)
		}
	}
}
