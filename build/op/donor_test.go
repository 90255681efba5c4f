package op

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/store"
)

func TestDonationKeeps(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]digest.Digest
		want  map[string]digest.Digest
	}{
		{name: "none", files: map[string]digest.Digest{}, want: map[string]digest.Digest{}},
		{
			name:  "files",
			files: map[string]digest.Digest{"a": digest.FromString("a"), "d/ü\n": digest.FromString("")},
			want:  map[string]digest.Digest{"a": digest.FromString("a"), "d/ü\n": digest.FromString("")},
		},
		{
			name:  "a digest of another kind is left out",
			files: map[string]digest.Digest{"a": digest.SHA512.FromString("a"), "b": digest.FromString("b")},
			want:  map[string]digest.Digest{"b": digest.FromString("b")},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, files, ok := decodeDonation(encodeDonation("LAYER", c.files))
			if !ok || id != "LAYER" {
				t.Errorf("layer %q, %v", id, ok)
			}
			if diff := cmp.Diff(c.want, files); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDonationRefuses(t *testing.T) {
	whole := encodeDonation("L", map[string]digest.Digest{"path": digest.FromString("x")})
	for name, raw := range map[string][]byte{
		"empty":          nil,
		"no end of id":   []byte("LAYER"),
		"half a digest":  whole[:20],
		"half a path":    whole[:len(whole)-1],
		"a rest":         append(append([]byte(nil), whole...), 'x'),
		"a digest alone": whole[:34],
	} {
		if id, files, ok := decodeDonation(raw); ok {
			t.Errorf("%s: read as %q, %v", name, id, files)
		}
	}
}

// Whatever is read is written the same way again.
func FuzzDecodeDonation(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("L\x00"))
	f.Add(encodeDonation("L", map[string]digest.Digest{"a/b": digest.FromString("x")}))
	f.Add(encodeDonation("", map[string]digest.Digest{"": digest.FromString("x")})[:30])
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, files, ok := decodeDonation(raw)
		if !ok {
			return
		}
		id2, files2, ok := decodeDonation(encodeDonation(id, files))
		if !ok || id2 != id || !cmp.Equal(files, files2) {
			t.Errorf("%q %v became %q %v", id, files, id2, files2)
		}
	})
}

// copyStep is the step of COPY --from=in[1] src dest, or of a copy from in[1].
func copyStep(w *World, a *pb.FileActionCopy) (*file, error) {
	if a.Mode == 0 {
		a.Mode, a.Timestamp = -1, -1
	}
	op := &pb.FileOp{Actions: []*pb.FileAction{{Input: 0, SecondaryInput: 1, Output: 0, Action: &pb.FileAction_Copy{Copy: a}}}}
	n := &solve.Node{
		Digest: digest.FromString(a.String()), Op: &pb.Op{Op: &pb.Op_File{File: op}}, Inputs: make([]solve.Edge, 2),
	}
	return newFile(w, n, op)
}

// Steps of one shape leave their files to one another; what lies below the copy,
// what it does and which directory it reads tell shapes apart, content does not.
func TestShape(t *testing.T) {
	local := func(dir string) solve.Value { return solve.Value{Local: &solve.Local{Dir: dir}} }
	shape := func(src string, base store.Key, from solve.Value) string {
		t.Helper()
		f, err := copyStep(&World{}, &pb.FileActionCopy{Src: src, Dest: "/"})
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.shape([]solve.Value{{Key: base}, from})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one := shape("/a", "base", solve.Value{Key: "before"})
	for name, other := range map[string]string{
		"source":    shape("/b", "base", solve.Value{Key: "before"}),
		"base":      shape("/a", "other", solve.Value{Key: "before"}),
		"directory": shape("/a", "base", local("/ctx")),
	} {
		if other == one {
			t.Errorf("another %s has the same shape", name)
		}
	}
	if shape("/a", "base", solve.Value{Key: "after"}) != one {
		t.Error("another key of what is only read has another shape")
	}
	if shape("/a", "base", local("/one")) == shape("/a", "base", local("/two")) {
		t.Error("two contexts have the same shape")
	}
	if !filepath.IsLocal(one) || !strings.HasPrefix(one, "donor/") {
		t.Errorf("%q is no name of a state file", one)
	}
}

// The second copy of a shape shares what did not change; a damaged donation, or
// one whose layer is gone, costs nothing but time.
func TestDonation(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	files := map[string]string{"d/changes": "1"}
	for i := range minDonation {
		files[fmt.Sprintf("d/f%d", i)] = fmt.Sprint(i)
	}
	run := func(files map[string]string) (top store.Layer, shape string) {
		t.Helper()
		f, err := copyStep(w, &pb.FileActionCopy{Src: "/d", Dest: "/x", DirCopyContents: true, CreateDestPath: true})
		if err != nil {
			t.Fatal(err)
		}
		in := []solve.Value{{Key: "base"}, publish(t, w, files)}
		// From a stack of two, so that the source itself is not shared.
		in[1].Layers = append(in[1].Layers, publish(t, w, map[string]string{"d/top": "t"}).Layers...)
		if _, err := f.Keys(ctx, in); err != nil {
			t.Fatal(err)
		}
		out, err := f.Run(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		if shape, err = f.shape(in); err != nil {
			t.Fatal(err)
		}
		stack, err := out[0].Stack(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return stack[len(stack)-1], shape
	}
	same := func(a, b store.Layer, name string) bool {
		t.Helper()
		return sameFile(t, filepath.Join(a.Dir, name), filepath.Join(b.Dir, name))
	}
	first, shape := run(files)
	files["d/changes"] = "2"
	second, _ := run(files)
	if !same(first, second, "x/f7") || same(first, second, "x/changes") {
		t.Errorf("shared: f7 %v, changes %v; want the first only", same(first, second, "x/f7"), same(first, second, "x/changes"))
	}
	if got := read(t, first, "x/changes") + read(t, second, "x/changes"); got != "12" {
		t.Errorf("the file that changed has %q", got)
	}
	if err := w.Store.PutState(shape, []byte("damaged")); err != nil {
		t.Fatal(err)
	}
	third, _ := run(files)
	if same(second, third, "x/f7") || read(t, third, "x/f7") != "7" {
		t.Error("a damaged donation was used")
	}
}
