package solve

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

// memory is a Cache without a disk.
type memory struct {
	mu      sync.Mutex
	records map[store.Key]*store.Record
	locks   map[string]*sync.Mutex
}

func newMemory() *memory {
	return &memory{records: map[store.Key]*store.Record{}, locks: map[string]*sync.Mutex{}}
}

func (m *memory) Record(_ context.Context, k store.Key) (*store.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[k]; ok {
		return r, nil
	}
	return nil, errs.ErrNotFound
}

func (m *memory) PutRecord(_ context.Context, r *store.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := *r
	m.records[r.Key] = &c
	return nil
}

func (m *memory) Layer(_ context.Context, id store.LayerID) (store.Layer, error) {
	return store.Layer{ID: id}, nil
}

func (m *memory) Lock(_ context.Context, name string) (func(), error) {
	m.mu.Lock()
	l, ok := m.locks[name]
	if !ok {
		l = &sync.Mutex{}
		m.locks[name] = l
	}
	m.mu.Unlock()
	l.Lock()
	return l.Unlock, nil
}

// lab builds graphs of steps that count how often they ran.
type lab struct {
	t       *testing.T
	g       *Graph
	runs    map[string]*atomic.Int32
	content map[string]string // by step: what its content key is made of
	fail    map[string]error
	moving  map[string]bool // steps whose input changes while they run
}

func newLab(t *testing.T) *lab {
	return &lab{t: t, g: NewGraph(), runs: map[string]*atomic.Int32{}, content: map[string]string{}, fail: map[string]error{}, moving: map[string]bool{}}
}

// step is a vertex whose identity is its name and inputs.
func (l *lab) step(name string, ignoreCache bool, in ...*Node) *Node {
	op := &pb.Op{Op: &pb.Op_Exec{Exec: &pb.ExecOp{Meta: &pb.Meta{Args: []string{name}}}}}
	n := &Node{Op: op, Meta: &pb.OpMetadata{IgnoreCache: ignoreCache}}
	id := name
	for _, i := range in {
		n.Inputs = append(n.Inputs, Edge{Node: i})
		id += "<" + string(i.Digest)
	}
	n.Digest = digestOf(id)
	if l.runs[name] == nil {
		l.runs[name] = &atomic.Int32{}
	}
	return n
}

type labOp struct {
	l    *lab
	name string
}

func (o labOp) Keys(_ context.Context, in []Value) (*Keys, error) {
	var ks []InputKey
	for _, v := range in {
		ks = append(ks, InputKey{Key: v.Key})
	}
	k := &Keys{Definition: NewPreimage("lab", o.name, ks...)}
	k.Stable = func(context.Context) (bool, error) { return !o.l.moving[o.name], nil }
	if c := o.l.content[o.name]; c != "" {
		k.Content = func() (*Preimage, error) { return NewPreimage("lab", o.name, InputKey{Content: c}), nil }
	}
	return k, nil
}

func (o labOp) Run(_ context.Context, in []Value) ([]Value, error) {
	n := o.l.runs[o.name].Add(1)
	if err := o.l.fail[o.name]; err != nil {
		return nil, err
	}
	v := Value{}
	if len(in) > 0 {
		v.Layers = append(v.Layers, in[0].Layers...)
	}
	v.Layers = append(v.Layers, Stored(store.Layer{ID: store.LayerID(fmt.Sprintf("%s%d", o.name, n))}))
	return []Value{v}, nil
}

func (l *lab) solver(c Cache) *Solver {
	return New(c, func(n *Node) (Op, error) { return labOp{l, n.Op.GetExec().Meta.Args[0]}, nil }, nil, 4)
}

func (l *lab) solve(c Cache, n *Node) []store.LayerID {
	l.t.Helper()
	v, err := l.solver(c).Solve(context.Background(), Edge{Node: n})
	if err != nil {
		l.t.Fatal(err)
	}
	ids, err := v.IDs(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	return ids
}

func (l *lab) ran() map[string]int {
	m := map[string]int{}
	for k, v := range l.runs {
		m[k] = int(v.Load())
	}
	return m
}

func TestSharedStepRunsOnce(t *testing.T) {
	l := newLab(t)
	base := l.step("base", false)
	a, b := l.step("a", false, base), l.step("b", false, base)
	l.solve(newMemory(), l.step("top", false, a, b))
	if diff := cmp.Diff(map[string]int{"base": 1, "a": 1, "b": 1, "top": 1}, l.ran()); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

func TestSecondBuildIsCached(t *testing.T) {
	l, c := newLab(t), newMemory()
	top := l.step("top", false, l.step("base", false))
	first := l.solve(c, top)
	second := l.solve(c, top)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("result changed (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"base": 1, "top": 1}, l.ran()); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
}

// A step that only reads its input is found by content although the input's
// definition changed, and what stands on top of it is found too.
func TestContentHit(t *testing.T) {
	l, c := newLab(t), newMemory()
	l.content["copy"] = "same files"
	l.solve(c, l.step("top", false, l.step("copy", false, l.step("old", false))))
	got := l.solve(c, l.step("top", false, l.step("copy", false, l.step("new", false))))
	if diff := cmp.Diff([]store.LayerID{"old1", "copy1", "top1"}, got); diff != "" {
		t.Errorf("layers (-want +got):\n%s", diff)
	}
	if n := l.runs["new"].Load(); n != 1 {
		t.Errorf("new ran %d times, want 1", n)
	}
}

// A step run anew on purpose is not what older results on top of it were made of.
func TestIgnoreCacheRenewsWhatFollows(t *testing.T) {
	l, c := newLab(t), newMemory()
	build := func(ignore bool) []store.LayerID {
		base := l.step("base", ignore)
		base.Digest = digestOf(fmt.Sprint("base", ignore))
		return l.solve(c, l.step("top", false, base))
	}
	old := build(false)
	fresh := build(true)
	if old[0] == fresh[0] || old[1] == fresh[1] {
		t.Errorf("after --no-cache: %v, before: %v", fresh, old)
	}
	later := build(false)
	if diff := cmp.Diff(fresh, later); diff != "" {
		t.Errorf("a later build does not use the newest result (-want +got):\n%s", diff)
	}
}

// What was made while its input changed is not found again, nor is what stands
// on it taken for made of anything else.
func TestUnstableInputIsNotRemembered(t *testing.T) {
	l, c := newLab(t), newMemory()
	l.moving["copy"] = true
	build := func() []store.LayerID { return l.solve(c, l.step("top", false, l.step("copy", false))) }
	build()
	l.moving["copy"] = false
	if diff := cmp.Diff([]store.LayerID{"copy2", "top2"}, build()); diff != "" {
		t.Errorf("second build (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]store.LayerID{"copy2", "top2"}, build()); diff != "" {
		t.Errorf("third build (-want +got):\n%s", diff)
	}
}

func TestFailureIsNotRemembered(t *testing.T) {
	l, c := newLab(t), newMemory()
	n := l.step("step", false)
	l.fail["step"] = errors.New("boom")
	if _, err := l.solver(c).Solve(context.Background(), Edge{Node: n}); err == nil || len(c.records) != 0 {
		t.Fatalf("err %v with %d records, want an error and none", err, len(c.records))
	}
	delete(l.fail, "step")
	if got := l.solve(c, n); len(got) != 1 {
		t.Errorf("after the failure: %v", got)
	}
}

// Two solvers on one cache stand for two processes: one runs, one waits.
func TestTwoBuildsRunAStepOnce(t *testing.T) {
	l, c := newLab(t), newMemory()
	n := l.step("slow", false)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := l.solver(c).Solve(context.Background(), Edge{Node: n}); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if got := l.runs["slow"].Load(); got != 1 {
		t.Errorf("ran %d times, want 1", got)
	}
}

func TestCancelledWaiterReturns(t *testing.T) {
	release := make(chan struct{})
	s := New(newMemory(), func(*Node) (Op, error) { return blockOp(release), nil }, nil, 1)
	n := newLab(t).step("block", false)
	go s.Solve(context.Background(), Edge{Node: n})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	time.Sleep(5 * time.Millisecond)
	if _, err := s.Solve(ctx, Edge{Node: n}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v, want deadline exceeded", err)
	}
	close(release)
}

type blockOp chan struct{}

func (b blockOp) Keys(context.Context, []Value) (*Keys, error) { return nil, nil }
func (b blockOp) Run(context.Context, []Value) ([]Value, error) {
	<-b
	return []Value{{}}, nil
}

func digestOf(s string) digest.Digest { return digest.FromString(s) }

// A failure cancels what runs beside it; whoever waits for a cancelled step is
// told of the failure.
func TestFailureIsTheErrorEverywhere(t *testing.T) {
	l := newLab(t)
	boom := errors.New("boom")
	started := make(chan struct{})
	shared, bad := l.step("shared", false), l.step("bad", false)
	s := New(newMemory(), func(n *Node) (Op, error) {
		switch n {
		case shared:
			return opFunc(func(ctx context.Context) error { close(started); <-ctx.Done(); return ctx.Err() }), nil
		case bad:
			return opFunc(func(context.Context) error { <-started; return boom }), nil
		}
		return labOp{l, n.Op.GetExec().Meta.Args[0]}, nil
	}, nil, 4)
	top := l.step("top", false, l.step("left", false, shared, bad), l.step("right", false, shared))
	if _, err := s.Solve(context.Background(), Edge{Node: top}); !errors.Is(err, boom) {
		t.Errorf("err = %v, want boom", err)
	}
}

type opFunc func(context.Context) error

func (f opFunc) Keys(context.Context, []Value) (*Keys, error) { return nil, nil }
func (f opFunc) Run(ctx context.Context, _ []Value) ([]Value, error) {
	return []Value{{}}, f(ctx)
}
