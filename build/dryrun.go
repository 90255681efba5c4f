package build

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/build/frontend"
	"github.com/mica-build/mica/build/history"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
)

// A Plan is what a build would do.
type Plan struct {
	Steps []PlannedStep // in the order in which they would begin
	Pulls []Pull
}

// A PlannedStep is one step of a Plan.
type PlannedStep struct {
	Name string
	// Runs says that the step is not in the cache. One that copies from a stage
	// that would run may still be found by its content then.
	Runs bool
	// Why says why it would run; nil when it would not.
	Why *history.Explanation
}

// A Pull is a base image that is not in the store, or not whole.
type Pull struct {
	Ref    string
	Layers int   // to be fetched
	Bytes  int64 // of them, as they are sent
}

// Runs counts the steps that would run.
func (p *Plan) Runs() int {
	n := 0
	for _, s := range p.Steps {
		if s.Runs {
			n++
		}
	}
	return n
}

// A NotCachedError says that a build which was to take everything from the
// cache could not.
type NotCachedError struct{ Plan *Plan }

func (e *NotCachedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d steps would run", e.Plan.Runs(), len(e.Plan.Steps))
	for _, s := range e.Plan.Steps {
		if s.Runs {
			fmt.Fprintf(&b, "\n  %s\n    %s", s.Name, s.Why.Cause)
		}
	}
	return b.String()
}

// look is a dry run.
func (s *session) look(ctx context.Context) (*Result, error) {
	fr, err := s.plan(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.dryRun(ctx, fr)
	if err != nil {
		return nil, err
	}
	s.saveIndexes()
	return &Result{Plan: p, Warnings: s.warnings}, nil
}

// requireCached refuses to go on if that is asked for and a step would run.
func (s *session) requireCached(ctx context.Context, fr *frontend.Result) error {
	if !s.r.RequireCached {
		return nil
	}
	p, err := s.dryRun(ctx, fr)
	if err == nil && p.Runs() > 0 {
		err = &NotCachedError{p}
	}
	return err
}

// dryRun looks every step of the graph up, and runs none.
func (s *session) dryRun(ctx context.Context, fr *frontend.Result) (*Plan, error) {
	var mu sync.Mutex
	var steps []*history.Step
	planner := solve.New(s.store, s.world.Op, nil, s.b.o.Parallel)
	planner.Plan = true
	planner.OnOutcome = func(o *solve.Outcome) {
		step := stepOf(o)
		step.Reads = s.journal.reads.Of(o.Node.Digest)
		mu.Lock()
		defer mu.Unlock()
		step.Number = len(steps) + 1
		steps = append(steps, step)
	}
	g, gctx := errgroup.WithContext(ctx)
	for _, t := range fr.Targets {
		g.Go(func() error {
			_, err := planner.Solve(gctx, t.Edge)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return s.planOf(ctx, steps)
}

func (s *session) planOf(ctx context.Context, steps []*history.Step) (*Plan, error) {
	why, err := s.journal.history.Why(s.journal.build, steps)
	if err != nil {
		return nil, err
	}
	p := &Plan{}
	for _, step := range steps {
		if step.State == history.StepSource {
			continue
		}
		ps := PlannedStep{Name: step.Name, Runs: step.Ran()}
		if i := slices.IndexFunc(why, func(x history.Explanation) bool { return x.Step == step }); i >= 0 {
			ps.Why = &why[i]
		}
		p.Steps = append(p.Steps, ps)
	}
	p.Pulls, err = s.images.pulls(ctx)
	return p, err
}

// pulls lists what is missing of the images that the build uses.
func (m *images) pulls(ctx context.Context) ([]Pull, error) {
	m.mu.Lock()
	calls := slices.Collect(maps.Values(m.calls))
	m.mu.Unlock()
	byRef := map[string]Pull{}
	for _, c := range calls {
		if c.img == nil || c.img.from == content.Fetcher(m.s.store) {
			continue
		}
		p := Pull{Ref: c.img.ref}
		for i, d := range c.img.manifest.Layers {
			there, err := m.hasLayer(ctx, c.img, i)
			if err != nil {
				return nil, err
			}
			if !there {
				p.Layers++
				p.Bytes += d.Size
			}
		}
		if p.Layers > 0 {
			byRef[p.Ref] = p
		}
	}
	var out []Pull
	for _, ref := range slices.Sorted(maps.Keys(byRef)) {
		out = append(out, byRef[ref])
	}
	return out, nil
}

func (m *images) hasLayer(ctx context.Context, img *baseImage, i int) (bool, error) {
	_, err := m.s.store.LayerByDiffID(ctx, img.config.RootFS.DiffIDs[i])
	if err == nil || !errors.Is(err, errs.ErrNotFound) {
		return err == nil, err
	}
	return m.s.store.Exists(ctx, img.manifest.Layers[i])
}
