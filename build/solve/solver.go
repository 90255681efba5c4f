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

func (s *Solver) count(cached bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cached {
		s.stats.Cached++
	} else {
		s.stats.Ran++
	}
}
