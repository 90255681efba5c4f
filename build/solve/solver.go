package solve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moby/buildkit/solver/errdefs"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

// An Op is what one node does. Its methods are called at most once each.
type Op interface {
	// Keys gives the cache keys of the step on these inputs. A nil result
	// means that the step has no record: Run is cheap and always called.
	Keys(ctx context.Context, in []Value) (*Keys, error)
	// Run does the work. With non-nil Keys the values' Key is left to the
	// solver, and every value must be a stack.
	Run(ctx context.Context, in []Value) ([]Value, error)
}

// Cache is the part of the store that holds records.
type Cache interface {
	Record(ctx context.Context, k store.Key) (*store.Record, error)
	PutRecord(ctx context.Context, r *store.Record) error
	Layer(ctx context.Context, id store.LayerID) (store.Layer, error)
	Lock(ctx context.Context, name string) (unlock func(), err error)
}

var _ Cache = (*store.Store)(nil)

// A Solver resolves nodes to values, each node once.
type Solver struct {
	Cache    Cache
	Factory  func(*Node) (Op, error)
	Progress *Progress
	// Plan makes the solver only look: a step that is not in the cache counts as
	// done, its values are Planned, and nothing is run.
	Plan bool
	// OnOutcome, when not nil, hears how each node was resolved. It may be called
	// concurrently.
	OnOutcome func(*Outcome)
	Steps     Steps // which step made which layer, of all steps solved so far

	slots *semaphore.Weighted
	mu    sync.Mutex
	calls map[digest.Digest]*call
	stats Stats
	first error // of the first step that failed by itself
}

// Stats count what a build did.
type Stats struct {
	Ran, Cached int
}

// New makes a solver that runs at most parallel steps at once.
func New(c Cache, factory func(*Node) (Op, error), p *Progress, parallel int) *Solver {
	return &Solver{Cache: c, Factory: factory, Progress: p, slots: semaphore.NewWeighted(int64(parallel)), calls: map[digest.Digest]*call{}}
}

// Stats says how many steps ran and how many came from the cache so far.
func (s *Solver) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

type call struct {
	done chan struct{}
	vals []Value
	err  error
}

// Solve resolves one edge; scratch for the zero Edge. Errors of a step carry
// its Dockerfile lines (errdefs.Sources).
func (s *Solver) Solve(ctx context.Context, e Edge) (Value, error) {
	if e.Node == nil {
		return Value{Key: Hash("scratch")}, nil
	}
	vals, err := s.node(ctx, e.Node)
	if err != nil {
		return Value{}, s.cause(err)
	}
	if e.Index >= len(vals) {
		return Value{}, fmt.Errorf("%s has no output %d: %w", e.Node.Name(), e.Index, errs.ErrInvalid)
	}
	return vals[e.Index], nil
}

// node is single flight by node: the first caller solves, the rest wait.
func (s *Solver) node(ctx context.Context, n *Node) ([]Value, error) {
	s.mu.Lock()
	c, ok := s.calls[n.Digest]
	if !ok {
		c = &call{done: make(chan struct{})}
		s.calls[n.Digest] = c
	}
	s.mu.Unlock()
	if ok {
		select {
		case <-c.done:
			return c.vals, c.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	c.vals, c.err = s.solve(ctx, n)
	close(c.done)
	return c.vals, c.err
}

func (s *Solver) solve(ctx context.Context, n *Node) ([]Value, error) {
	in, err := s.inputs(ctx, n)
	if err != nil {
		return nil, err
	}
	inputs := make([]digest.Digest, len(n.Inputs))
	for i, e := range n.Inputs {
		inputs[i] = e.Node.Digest
	}
	s.Progress.Start(n.Digest, n.Name(), inputs, n.Meta.GetProgressGroup())
	o := &Outcome{Node: n, Stable: true, Started: time.Now()}
	vals, cached, err := s.step(ctx, n, in, o)
	shown := err
	if err != nil && ctx.Err() != nil { // not this step's fault: it was stopped
		shown = ctx.Err()
	}
	s.Progress.Done(n.Digest, cached, shown)
	s.tell(o, vals, cached, shown)
	if err != nil {
		if n.Source != nil && len(errdefs.Sources(err)) == 0 && ctx.Err() == nil {
			err = errdefs.WithSource(err, &errdefs.Source{Info: n.Source.Info, Ranges: n.Source.Ranges})
		}
		s.failed(err)
		return nil, err
	}
	if n.Op.GetMerge() == nil && n.Op.GetDiff() == nil && n.Op.GetPassthrough() == nil {
		s.Steps.learn(n, vals)
	}
	return vals, nil
}

// failed remembers the first failure. When a step fails, those beside it are
// cancelled, and a branch that waits for one of them must not report that.
func (s *Solver) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil && !errors.Is(err, context.Canceled) {
		s.first = err
	}
}

func (s *Solver) cause(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first != nil && errors.Is(err, context.Canceled) {
		return s.first
	}
	return err
}

func (s *Solver) inputs(ctx context.Context, n *Node) ([]Value, error) {
	in := make([]Value, len(n.Inputs))
	if len(n.Inputs) == 1 {
		v, err := s.Solve(ctx, n.Inputs[0])
		in[0] = v
		return in, err
	}
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range n.Inputs {
		g.Go(func() (err error) {
			in[i], err = s.Solve(ctx, e)
			return err
		})
	}
	return in, g.Wait()
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

func (s *Solver) count(cached bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cached {
		s.stats.Cached++
	} else {
		s.stats.Ran++
	}
}

// stepState is one step on its way through the cache.
type stepState struct {
	s              *Solver
	n              *Node
	o              *Outcome
	keys           *Keys
	def, content   store.Key
	defRaw, conRaw []byte
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

// outputKey tells a step's outputs apart; the first has the step's own key.
func outputKey(k store.Key, i int) store.Key {
	if i == 0 {
		return k
	}
	return Hash("output", string(k), fmt.Sprint(i))
}
