package solve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

// stepState is one step on its way through the cache.
type stepState struct {
	s              *Solver
	n              *Node
	o              *Outcome
	keys           *Keys
	def, content   store.Key
	defRaw, conRaw []byte
}

// step finds the step's result in the cache or makes it.
func (s *Solver) step(ctx context.Context, n *Node, in []Value, o *Outcome) (_ []Value, cached bool, err error) {
	op, err := s.Factory(n)
	if err != nil {
		return nil, false, err
	}
	keys, err := op.Keys(ctx, in)
	if err != nil {
		return nil, false, err
	}
	if keys == nil {
		o.Planned = planned(in)
		vals, err := op.Run(ctx, in)
		return vals, false, err
	}
	st := &stepState{s: s, n: n, keys: keys, o: o}
	if planned(in) { // there is nothing to look into
		keys.Content = nil
	}
	if st.def, st.defRaw, err = keys.Definition.Key(); err != nil {
		return nil, false, err
	}
	if !n.IgnoreCache() {
		if vals, ok, err := st.lookup(ctx); ok || err != nil {
			s.count(ok)
			return vals, ok, err
		}
	} else if err := st.contentKey(); err != nil {
		return nil, false, err
	}
	o.keys(st)
	if s.Plan {
		o.Planned = true
		return st.plan(), false, nil
	}
	return st.run(ctx, op, in)
}

// run makes the step's result. One process does; the others wait and then find it.
func (st *stepState) run(ctx context.Context, op Op, in []Value) (_ []Value, cached bool, err error) {
	s := st.s
	unlock, err := s.Cache.Lock(ctx, "step-"+string(st.def))
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if !st.n.IgnoreCache() {
		if vals, ok, err := st.lookup(ctx); ok || err != nil {
			s.count(ok)
			return vals, ok, err
		}
	}
	if err := s.slots.Acquire(ctx, 1); err != nil {
		return nil, false, context.Cause(ctx)
	}
	defer s.slots.Release(1)
	vals, err := op.Run(ctx, in)
	if err != nil {
		return nil, false, err
	}
	s.count(false)
	if st.keys.Stable != nil {
		if st.o.Stable, err = st.keys.Stable(ctx); err != nil {
			return nil, false, err
		}
	}
	vals, err = st.remember(ctx, vals, in, st.o.Stable)
	return vals, false, err
}

func (st *stepState) contentKey() error {
	if st.content != "" || st.keys.Content == nil {
		return nil
	}
	p, err := st.keys.Content()
	if err != nil || p == nil {
		return err
	}
	st.content, st.conRaw, err = p.Key()
	return err
}

// lookup tries the definition key, then the content key. A hit by content is
// recorded under the definition key as well.
func (st *stepState) lookup(ctx context.Context) ([]Value, bool, error) {
	defer st.o.keys(st)
	vals, r, err := st.load(ctx, st.def)
	if r != nil || err != nil {
		return vals, r != nil, err
	}
	if err := st.contentKey(); err != nil {
		return nil, false, err
	}
	if st.content == "" {
		return nil, false, nil
	}
	vals, r, err = st.load(ctx, st.content)
	if r == nil || err != nil {
		return nil, false, err
	}
	alias := *r
	alias.Key, alias.Preimage = st.def, st.defRaw
	return vals, true, st.s.Cache.PutRecord(ctx, &alias)
}

func (st *stepState) load(ctx context.Context, k store.Key) ([]Value, *store.Record, error) {
	r, err := st.s.Cache.Record(ctx, k)
	if errors.Is(err, errs.ErrNotFound) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	vals := make([]Value, len(r.Outputs))
	for i, ids := range r.Outputs {
		vals[i].Key = outputKey(r.ResultKey, i)
		for _, id := range ids {
			l, err := st.s.Cache.Layer(ctx, id)
			if errors.Is(err, errs.ErrNotFound) {
				return nil, nil, nil
			} else if err != nil {
				return nil, nil, err
			}
			vals[i].Layers = append(vals[i].Layers, Stored(l))
		}
	}
	return vals, r, nil
}

// remember publishes the records of a step that ran, unless its inputs were not
// stable. A step that ran although a record may exist gets a result key of its
// own, so that what was built on the older result is not taken for built on
// this one.
func (st *stepState) remember(ctx context.Context, vals []Value, in []Value, stable bool) ([]Value, error) {
	r := st.record(in)
	salt := ""
	out := make([]Value, len(vals))
	for i, v := range vals {
		ids, err := v.IDs(ctx)
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			salt += string(ids[len(ids)-1])
		}
		r.Outputs = append(r.Outputs, ids)
		out[i].Layers = v.Layers
	}
	if st.n.IgnoreCache() || !stable {
		r.ResultKey = Hash("fresh", string(st.def), salt)
	}
	for i := range out {
		out[i].Key = outputKey(r.ResultKey, i)
	}
	if !stable {
		return out, nil
	}
	if err := st.s.Cache.PutRecord(ctx, r); err != nil {
		return nil, err
	}
	if st.content != "" {
		c := *r
		c.Key, c.Preimage = st.content, st.conRaw
		if err := st.s.Cache.PutRecord(ctx, &c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// record is the step's record before there is a result.
func (st *stepState) record(in []Value) *store.Record {
	r := &store.Record{
		Key: st.def, ResultKey: st.def, Preimage: st.defRaw,
		Description: st.n.Name(), Type: st.keys.Type, Created: time.Now(),
	}
	if st.keys.Description != "" {
		r.Description = st.keys.Description
	}
	if r.Type == "" {
		r.Type = "regular"
	}
	for _, v := range in {
		if v.Key != "" {
			r.Parents = append(r.Parents, v.Key)
		}
	}
	return r
}

// outputKey tells a step's outputs apart; the first has the step's own key.
func outputKey(k store.Key, i int) store.Key {
	if i == 0 {
		return k
	}
	return Hash("output", string(k), fmt.Sprint(i))
}
