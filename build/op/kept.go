package op

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

// Kept is what is left of a RUN step whose command failed: its root filesystem
// with what it wrote, and its mounts. It marshals to JSON.
type Kept struct {
	Step      digest.Digest
	Op        []byte          // the vertex, as LLB
	Resources []byte          // its limits, as LLB
	Root      []store.LayerID // bottom first, what the command wrote on top
	Mounts    []KeptMount
}

// A KeptMount is the tree that one of the step's mounts shows.
type KeptMount struct {
	Index  int // among the mounts of the step
	Key    store.Key
	Layers []store.LayerID
}

// Layers lists all stacks that have to be there to look into the step.
func (k *Kept) Layers() [][]store.LayerID {
	out := [][]store.LayerID{k.Root}
	for _, m := range k.Mounts {
		out = append(out, m.Layers)
	}
	return out
}

// keep hands what is left of a failed command to who wants it. It is an extra:
// what cannot be kept is not.
func (m *mounter) keep(ctx context.Context, err error) {
	var exit *ExitError
	if m.e.w.OnFailure == nil || !errors.As(err, &exit) {
		return
	}
	k := &Kept{Step: m.e.n.Digest}
	var kerr error
	if k.Op, kerr = m.e.n.Op.MarshalVT(); kerr != nil {
		return
	}
	if r := m.e.n.Meta.GetLinuxResources(); r != nil {
		k.Resources, _ = r.MarshalVT()
	}
	if kerr = m.keepTrees(ctx, k); kerr == nil {
		m.e.w.OnFailure(ctx, k)
	}
}

func (m *mounter) keepTrees(ctx context.Context, k *Kept) error {
	for i, pm := range m.e.op.Mounts {
		isRoot := pm.Dest == "/" && pm.MountType == pb.MountType_BIND
		if pm.Input < 0 && !isRoot {
			continue
		}
		v, err := m.keptValue(ctx, i, pm, isRoot)
		if err != nil {
			return err
		}
		ids, err := v.IDs(ctx)
		if err != nil {
			return err
		}
		if isRoot {
			k.Root = ids
		} else {
			k.Mounts = append(k.Mounts, KeptMount{Index: i, Key: v.Key, Layers: ids})
		}
	}
	return nil
}

// keptValue is the tree that a mount showed; the root's has what was written to it.
func (m *mounter) keptValue(ctx context.Context, i int, pm *pb.Mount, isRoot bool) (solve.Value, error) {
	if work := m.works[i]; isRoot && work != nil {
		return work.commit(ctx)
	}
	v, err := input(m.in, pm.Input)
	if err == nil && v.Local != nil {
		v, err = m.e.w.freeze(ctx, v, path.Join("/", pm.Selector))
	}
	return v, err
}

// revive makes the step of k again, and the inputs that it runs on: those for
// each mount, the root first. What is secret is optional now.
func (w *World) revive(ctx context.Context, k *Kept) (*exec, []solve.Value, error) {
	op := new(pb.Op)
	if err := op.UnmarshalVT(k.Op); err != nil || op.GetExec() == nil {
		return nil, nil, fmt.Errorf("failed step: %w: not a RUN step", errs.ErrInvalid)
	}
	x := op.GetExec()
	root, err := w.stack(ctx, "", k.Root)
	if err != nil {
		return nil, nil, err
	}
	in := []solve.Value{root}
	for _, m := range x.Mounts {
		m.Input, m.Output = -1, int64(pb.SkipOutput)
		if m.Dest == "/" && m.MountType == pb.MountType_BIND {
			m.Input = 0
		}
		optional(m)
	}
	for _, s := range x.Secretenv {
		s.Optional = true
	}
	for _, km := range k.Mounts {
		if km.Index < 0 || km.Index >= len(x.Mounts) {
			return nil, nil, fmt.Errorf("failed step: mount %d: %w", km.Index, errs.ErrInvalid)
		}
		v, err := w.stack(ctx, km.Key, km.Layers)
		if err != nil {
			return nil, nil, err
		}
		x.Mounts[km.Index].Input = int64(len(in))
		in = append(in, v)
	}
	n := &solve.Node{Digest: k.Step, Op: op, Meta: &pb.OpMetadata{}, Inputs: make([]solve.Edge, len(in))}
	if len(k.Resources) > 0 {
		n.Meta.LinuxResources = new(pb.LinuxResources)
		if err := n.Meta.LinuxResources.UnmarshalVT(k.Resources); err != nil {
			return nil, nil, fmt.Errorf("failed step: limits: %w: %w", errs.ErrInvalid, err)
		}
	}
	e, err := newExec(w, n, x)
	return e, in, err
}

func optional(m *pb.Mount) {
	if m.SecretOpt != nil {
		m.SecretOpt.Optional = true
	}
	if m.SSHOpt != nil {
		m.SSHOpt.Optional = true
	}
}

// stack finds the layers of a kept tree, which a prune may have taken.
func (w *World) stack(ctx context.Context, key store.Key, ids []store.LayerID) (solve.Value, error) {
	v := solve.Value{Key: key}
	for _, id := range ids {
		l, err := w.Store.Layer(ctx, id)
		if errors.Is(err, errs.ErrNotFound) {
			return v, fmt.Errorf("files of the failed step: %w: a prune took them, build again", err)
		}
		if err != nil {
			return v, fmt.Errorf("files of the failed step: %w", err)
		}
		v.Layers = append(v.Layers, solve.Stored(l))
	}
	return v, nil
}
