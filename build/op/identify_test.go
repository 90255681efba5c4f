package op

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/solve"
)

func execOp(mounts ...*pb.Mount) *pb.Op {
	return &pb.Op{Op: &pb.Op_Exec{Exec: &pb.ExecOp{Mounts: mounts}}}
}

func TestUnder(t *testing.T) {
	for _, c := range []struct {
		name string
		op   *pb.Op
		want []int64
	}{
		{"the root of a process", execOp(&pb.Mount{Dest: "/src", Input: 1}, &pb.Mount{Dest: "/", Input: 0}), []int64{0}},
		{"a process on scratch", execOp(&pb.Mount{Dest: "/", Input: -1}), []int64{-1}},
		{"what a copy changes", &pb.Op{Op: &pb.Op_File{File: &pb.FileOp{Actions: []*pb.FileAction{{Input: 0, SecondaryInput: 1}}}}}, []int64{0}},
		{"all of a merge", &pb.Op{Op: &pb.Op_Merge{Merge: &pb.MergeOp{Inputs: []*pb.MergeInput{{Input: 0}, {Input: 1}}}}}, []int64{0, 1}},
		{"a source", &pb.Op{Op: &pb.Op_Source{Source: &pb.SourceOp{}}}, nil},
	} {
		if diff := cmp.Diff(c.want, under(c.op)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// The steps below the result are those whose layers it is made of: not those
// that are only copied from.
func TestResult(t *testing.T) {
	node := func(name string, op *pb.Op, in ...*solve.Node) *solve.Node {
		n := &solve.Node{Digest: digest.FromString(name), Op: op}
		for _, i := range in {
			n.Inputs = append(n.Inputs, solve.Edge{Node: i})
		}
		return n
	}
	source := &pb.Op{Op: &pb.Op_Source{Source: &pb.SourceOp{}}}
	base, context := node("base", source), node("context", source)
	run := node("run", execOp(&pb.Mount{Dest: "/", Input: 0}, &pb.Mount{Dest: "/src", Input: 1}), base, context)
	add := node("copy", &pb.Op{Op: &pb.Op_File{File: &pb.FileOp{Actions: []*pb.FileAction{{Input: 0, SecondaryInput: 1}, {Input: 2, SecondaryInput: 1}}}}}, run, context)
	w := &World{}
	w.Result(solve.Edge{Node: add})
	w.Result(solve.Edge{})
	want := map[digest.Digest]bool{base.Digest: true, run.Digest: true, add.Digest: true}
	if diff := cmp.Diff(want, w.result); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The digest of a layer that will be in the image is there without being asked for.
func TestIdentify(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		marked bool
	}{{"result", true}, {"beside", false}} {
		n := &solve.Node{Digest: digest.FromString(c.name), Op: &pb.Op{}}
		if c.marked {
			w.Result(solve.Edge{Node: n})
		}
		v := publish(t, w, map[string]string{"f": c.name})
		w.identify(t.Context(), n, []solve.Value{v, {}})
		w.identifying.Wait()
		s, err := v.Stack(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		l, err := w.Store.Layer(t.Context(), s[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		if (l.DiffID != "") != c.marked {
			t.Errorf("%s: diff id %q", c.name, l.DiffID)
		}
	}
}
