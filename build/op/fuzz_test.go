package op

import (
	"encoding/json"
	"testing"

	"github.com/moby/buildkit/solver/pb"
)

// FuzzRevive reads what was kept of a failed step.
func FuzzRevive(f *testing.F) {
	op, err := (&pb.Op{Op: &pb.Op_Exec{Exec: &pb.ExecOp{
		Meta:   &pb.Meta{Args: []string{"x"}},
		Mounts: []*pb.Mount{{Dest: "/", Input: 0}, {Dest: "/s", MountType: pb.MountType_SECRET, SecretOpt: &pb.SecretOpt{ID: "x"}}},
	}}}).MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	raw, err := json.Marshal(Kept{Op: op, Mounts: []KeptMount{{Index: 1, Key: "k"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(`{"Mounts":[{"Index":-1}]}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var k Kept
		if json.Unmarshal(raw, &k) != nil {
			return
		}
		k.Root = nil // there is no store here
		for i := range k.Mounts {
			k.Mounts[i].Layers = nil
		}
		e, in, err := (&World{}).revive(t.Context(), &k)
		if err != nil {
			return
		}
		for _, m := range e.op.Mounts {
			if int(m.Input) >= len(in) {
				t.Errorf("mount %s has input %d of %d", m.Dest, m.Input, len(in))
			}
		}
	})
}
