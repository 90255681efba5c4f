package op

import (
	"context"
	"os"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/snapshot"
	"github.com/mica-build/mica/store"
)

// work is a draft layer mounted on top of a stack.
type work struct {
	base   solve.Value
	lowers []string
	draft  *store.Draft
	tree   *snapshot.Tree
	upper  *os.File // draft.Dir, when what is written ends up there at once
}

// start opens a draft on top of base.
func (w *World) start(ctx context.Context, base solve.Value) (*work, error) {
	lowers, err := w.lowers(ctx, base)
	if err != nil {
		return nil, err
	}
	d, err := w.Store.NewLayer(ctx)
	if err != nil {
		return nil, err
	}
	t, err := w.Mounter.Mount(ctx, snapshot.Request{Lower: lowers, Upper: d.Dir, Work: d.Work, Volatile: true})
	if err != nil {
		d.Discard()
		return nil, err
	}
	k := &work{base: base, lowers: lowers, draft: d, tree: t}
	if w.Mounter.Name() == "overlay" {
		if k.upper, err = os.Open(d.Dir); err != nil {
			k.discard()
			return nil, err
		}
	}
	return k, nil
}

// commit publishes the draft; the result is base with one layer more, also
// when nothing changed. The work is over either way.
func (k *work) commit(ctx context.Context) (solve.Value, error) {
	defer k.discard()
	if err := k.tree.Settle(); err != nil {
		return solve.Value{}, err
	}
	if err := k.tree.Close(); err != nil {
		return solve.Value{}, err
	}
	k.tree = nil
	if len(k.lowers) > 0 {
		if err := layer.Settle(ctx, k.draft.Dir, k.lowers); err != nil {
			return solve.Value{}, err
		}
	}
	l, err := k.draft.Commit(ctx)
	if err != nil {
		return solve.Value{}, err
	}
	stack := append(append([]*solve.Layer(nil), k.base.Layers...), solve.Stored(l))
	return solve.Value{Layers: stack}, nil
}

// discard drops what was not committed.
func (k *work) discard() {
	if k.tree != nil {
		k.tree.Close()
		k.tree = nil
	}
	if k.upper != nil {
		k.upper.Close()
		k.upper = nil
	}
	k.draft.Discard()
}
