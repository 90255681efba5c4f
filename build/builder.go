package build

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"runtime"
	"time"

	"github.com/moby/buildkit/solver/errdefs"
	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/build/export"
	"github.com/mica-build/mica/build/frontend"
	"github.com/mica-build/mica/build/op"
	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/snapshot"
	"github.com/mica-build/mica/store"
)

// Options configure a Builder. Runner and Mounter are needed.
type Options struct {
	Runner  op.Runner
	Mounter snapshot.Mounter
	// Registry opens the repository that a reference names; nil means that no
	// registry can be reached.
	Registry func(ref.Ref) (content.Store, error)
	// Offline, when not nil, says why no server may be asked; "" is that it may.
	Offline func() string
	// TagTTL, when not nil, is how long a tag of a registry is believed to stand for
	// what it stood for when it was last asked.
	TagTTL func() time.Duration
	// Parallel bounds the steps that run at once; 0 is a bound that only guards
	// against running out of processes.
	Parallel int
	// Platform is what this machine runs; the zero value asks the machine.
	Platform image.Platform
	Version  string // of mica, part of the memo's key
	Log      *slog.Logger
}

// A Builder builds images into one store.
type Builder struct {
	store *store.Store
	o     Options
}

// New makes a builder on st.
func New(st *store.Store, o Options) *Builder {
	if o.Parallel == 0 {
		o.Parallel = max(32, 8*runtime.NumCPU())
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Builder{store: st, o: o}
}

// Build carries out r. Errors that come from a line of the Dockerfile are
// *SourceError. Nothing is published unless the whole build succeeded.
func (b *Builder) Build(ctx context.Context, r *Request) (*Result, error) {
	s, err := b.newSession(r)
	if err != nil {
		return nil, err
	}
	defer s.close()
	res, err := s.build(ctx)
	s.journal.end(ctx, res, err)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil, context.Cause(ctx)
		}
		return nil, sourceError(s.journal.explain(err))
	}
	return res, nil
}

// build is one build from its request to its result.
func (s *session) build(ctx context.Context) (*Result, error) {
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	s.journal.locate()
	if s.isCall() {
		return s.call(ctx)
	}
	if s.r.DryRun {
		return s.look(ctx)
	}
	if res, ok, err := s.recall(ctx); ok || err != nil {
		return res, err
	}
	s.journal.begin()
	fr, err := s.plan(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.requireCached(ctx, fr); err != nil {
		return nil, err
	}
	targets, err := s.solve(ctx, fr)
	if err != nil {
		return nil, err
	}
	res, err := s.export(ctx, targets, fr.Multi)
	if err != nil {
		return nil, err
	}
	s.saveIndexes()
	s.memorize(res)
	return res, nil
}

// plan asks the front end what to build. A reproducible build has an epoch: the
// one that it was given, or the Dockerfile's own, or the start of 1970.
func (s *session) plan(ctx context.Context) (*frontend.Result, error) {
	fr, err := frontend.Solve(ctx, s, s.opts, s.workers())
	if err != nil || !s.r.Reproducible {
		return fr, err
	}
	for _, t := range fr.Targets {
		if t.Epoch == nil {
			s.mu.Lock()
			s.warned = true
			s.mu.Unlock()
			opts := maps.Clone(s.opts)
			opts["build-arg:SOURCE_DATE_EPOCH"] = "0"
			return frontend.Solve(ctx, s, opts, s.workers())
		}
	}
	return fr, nil
}

// solve resolves the graph of every platform, all at once.
func (s *session) solve(ctx context.Context, fr *frontend.Result) ([]export.Target, error) {
	out := make([]export.Target, len(fr.Targets))
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range fr.Targets {
		s.world.Result(t.Edge)
	}
	for i, t := range fr.Targets {
		g.Go(func() error {
			v, err := s.solver.Solve(ctx, t.Edge)
			if err != nil {
				return err
			}
			if v.Local != nil {
				if v, err = s.world.Freeze(ctx, v); err != nil {
					return err
				}
			}
			out[i] = export.Target{
				Platform: t.Platform, Layers: v.Layers, Config: t.Config, BaseConfig: t.BaseConfig, Epoch: t.Epoch,
			}
			return nil
		})
	}
	return out, g.Wait()
}

// sourceError gives an error that points at Dockerfile lines its typed form.
func sourceError(err error) error {
	srcs := errdefs.Sources(err)
	if len(srcs) == 0 {
		return err
	}
	return newSourceError(err, srcs[len(srcs)-1])
}
