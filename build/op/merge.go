package op

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/buildkit/solver/pb"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
)

// merge stacks its inputs: the layers of the first, then of the second ...
type merge struct {
	w  *World
	n  *solve.Node
	op *pb.MergeOp
}

func (m *merge) Keys(context.Context, []solve.Value) (*solve.Keys, error) { return nil, nil }

func (m *merge) Run(ctx context.Context, in []solve.Value) ([]solve.Value, error) {
	in, err := m.w.based(ctx, in, func(int) bool { return true })
	if err != nil {
		return nil, err
	}
	var out solve.Value
	var keys []string
	for _, i := range m.op.Inputs {
		if i.Input < 0 { // scratch
			continue
		}
		v, err := input(in, i.Input)
		if err != nil {
			return nil, err
		}
		out.Layers = append(out.Layers, v.Layers...)
		out.Planned = out.Planned || v.Planned
		keys = append(keys, string(v.Key))
	}
	out.Key = solve.Hash("merge", keys...)
	return []solve.Value{out}, nil
}

// diff is what the upper input has on top of the lower one.
type diff struct {
	op *pb.DiffOp
}

func (d *diff) Keys(context.Context, []solve.Value) (*solve.Keys, error) { return nil, nil }

func (d *diff) Run(_ context.Context, in []solve.Value) ([]solve.Value, error) {
	lower, err := input(in, d.op.GetLower().GetInput())
	if err != nil {
		return nil, err
	}
	upper, err := input(in, d.op.GetUpper().GetInput())
	if err != nil {
		return nil, err
	}
	if lower.Planned || upper.Planned {
		return []solve.Value{{Key: solve.Hash("diff", string(lower.Key), string(upper.Key)), Planned: true}}, nil
	}
	if len(lower.Layers) > len(upper.Layers) {
		return nil, errNoPrefix
	}
	for i, l := range lower.Layers {
		if u := upper.Layers[i]; u != l && (u.DiffID == "" || u.DiffID != l.DiffID) {
			return nil, errNoPrefix
		}
	}
	return []solve.Value{{
		Key:    solve.Hash("diff", string(lower.Key), string(upper.Key)),
		Layers: upper.Layers[len(lower.Layers):],
	}}, nil
}

var errNoPrefix = fmt.Errorf("diff of trees that do not share their lower layers: %w", errs.ErrUnsupported)

// passthrough hands its inputs on.
type passthrough struct {
	op *pb.PassthroughOp
}

func (p *passthrough) Keys(context.Context, []solve.Value) (*solve.Keys, error) { return nil, nil }

func (p *passthrough) Run(_ context.Context, in []solve.Value) ([]solve.Value, error) {
	out := make([]solve.Value, len(p.op.Outputs))
	for i, o := range p.op.Outputs {
		v, err := input(in, o)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// input is in[i]; -1 is scratch.
func input(in []solve.Value, i int64) (solve.Value, error) {
	if i == -1 {
		return solve.Value{Key: solve.Hash("scratch")}, nil
	}
	if i < 0 || int(i) >= len(in) {
		return solve.Value{}, fmt.Errorf("input %d of %d: %w", i, len(in), errs.ErrInvalid)
	}
	return in[i], nil
}

// cleanups run in reverse order.
type cleanups []func() error

func (c *cleanups) add(f func() error) { *c = append(*c, f) }

func (c cleanups) run() error {
	var all []error
	for i := len(c) - 1; i >= 0; i-- {
		if err := c[i](); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}
