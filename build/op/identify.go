package op

import (
	"context"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/solve"
)

// Result marks the steps below e whose layers will be in the image. Their
// digests are computed as soon as they are there, beside the steps that follow,
// so that writing the image does not have to wait for them. It is called before
// the steps run.
func (w *World) Result(e solve.Edge) {
	if w.result == nil {
		w.result = map[digest.Digest]bool{}
	}
	n := e.Node
	if n == nil || w.result[n.Digest] {
		return
	}
	w.result[n.Digest] = true
	for _, i := range under(n.Op) {
		if i >= 0 && int(i) < len(n.Inputs) {
			w.Result(n.Inputs[i])
		}
	}
}

// under lists the inputs that a step's layer is put on top of.
func under(op *pb.Op) []int64 {
	var in []int64
	switch o := op.Op.(type) {
	case *pb.Op_Exec:
		for _, m := range o.Exec.Mounts {
			if m.Dest == "/" {
				in = append(in, m.Input)
			}
		}
	case *pb.Op_File:
		for _, a := range o.File.Actions {
			in = append(in, a.Input)
		}
	case *pb.Op_Merge:
		for _, m := range o.Merge.Inputs {
			in = append(in, m.Input)
		}
	}
	return in
}

// identify begins to compute the digests of the layers that step n made.
func (w *World) identify(ctx context.Context, n *solve.Node, vals []solve.Value) {
	if !w.result[n.Digest] {
		return
	}
	// The step's own context ends with the steps beside it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w.mu.Lock()
	w.cancel = append(w.cancel, cancel)
	w.mu.Unlock()
	for _, v := range vals {
		if len(v.Layers) == 0 {
			continue
		}
		top := v.Layers[len(v.Layers)-1]
		w.identifying.Go(func() {
			// Whoever needs the digest asks again, and hears what went wrong.
			if l, err := top.Tree(ctx); err == nil {
				_, _ = w.Store.Identify(ctx, l.ID)
			}
		})
	}
}

// Close ends what the World does in the background.
func (w *World) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cancel := range w.cancel {
		cancel()
	}
	w.identifying.Wait()
}
