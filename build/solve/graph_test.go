package solve

import (
	"errors"
	"testing"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
)

func marshal(t testing.TB, op *pb.Op) []byte {
	t.Helper()
	raw, err := op.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func input(raw []byte) []*pb.Input {
	return []*pb.Input{{Digest: string(digest.FromBytes(raw))}}
}

func TestLoad(t *testing.T) {
	src := marshal(t, &pb.Op{Op: &pb.Op_Source{Source: &pb.SourceOp{Identifier: "local://context"}}})
	run := marshal(t, &pb.Op{Inputs: input(src), Op: &pb.Op_Exec{Exec: &pb.ExecOp{Meta: &pb.Meta{Args: []string{"true"}}}}})
	end := marshal(t, &pb.Op{Inputs: input(run)})
	g := NewGraph()
	e, err := g.Load(&pb.Definition{Def: [][]byte{src, run, end}})
	if err != nil {
		t.Fatal(err)
	}
	if e.Node.Op.GetExec() == nil || len(e.Node.Inputs) != 1 || e.Node.Inputs[0].Node.Name() != "local://context" {
		t.Errorf("loaded %v", e.Node)
	}
	again, err := g.Load(&pb.Definition{Def: [][]byte{src, run, end}})
	if err != nil {
		t.Fatal(err)
	}
	if again.Node != e.Node {
		t.Error("a vertex of two definitions is two nodes")
	}
	if e, err := g.Load(nil); err != nil || e.Node != nil {
		t.Errorf("no definition: %v, %v, want scratch", e, err)
	}
}

func TestLoadInvalid(t *testing.T) {
	lone := marshal(t, &pb.Op{Inputs: []*pb.Input{{Digest: "sha256:" + string(make([]byte, 64))}}})
	src := marshal(t, &pb.Op{Op: &pb.Op_Source{Source: &pb.SourceOp{Identifier: "local://context"}}})
	negative := marshal(t, &pb.Op{Inputs: []*pb.Input{{Digest: string(digest.FromBytes(src)), Index: -1}}})
	for name, def := range map[string][][]byte{
		"garbage":         {[]byte("\xff\xff")},
		"missing vertex":  {lone},
		"negative output": {src, negative},
	} {
		if _, err := NewGraph().Load(&pb.Definition{Def: def}); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"load git source https://me:pass@host/r.git#main": "load git source https://host/r.git#main",
		"ADD http://token@host/x ssh://me:p@h/y /z":       "ADD http://host/x ssh://h/y /z",
		"HTTPS://me:p@ss@host:1":                          "HTTPS://host:1",
		"git://https://me:p@h/x":                          "git://https://h/x",
		"git://me:p@h/x":                                  "git://h/x",
		"ssh://git@host/x git@host:x docker-image://a@b":  "ssh://git@host/x git@host:x docker-image://a@b",
		"docker-image://host:5000/x@sha256:abc":           "docker-image://host:5000/x@sha256:abc",
		"docker-image://host:5000@sha256:abc":             "docker-image://host:5000@sha256:abc",
		"http://host/a@b?c=d:e@f":                         "http://host/a@b?c=d:e@f",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzLoad(f *testing.F) {
	src := marshal(f, &pb.Op{Op: &pb.Op_Source{Source: &pb.SourceOp{Identifier: "local://context"}}})
	f.Add(src, marshal(f, &pb.Op{Inputs: input(src)}))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		_, _ = NewGraph().Load(&pb.Definition{Def: [][]byte{a, b}})
	})
}
