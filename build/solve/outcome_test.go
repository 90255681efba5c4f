package solve

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/store"
)

// told solves n and gives what was told of each step, by name.
func (l *lab) told(c Cache, n *Node, plan bool) map[string]string {
	l.t.Helper()
	var mu sync.Mutex
	out := map[string]string{}
	s := l.solver(c)
	s.Plan = plan
	s.OnOutcome = func(o *Outcome) {
		mu.Lock()
		defer mu.Unlock()
		state := "ran"
		switch {
		case o.Err != nil:
			state = "failed"
		case o.Planned:
			state = "would run"
		case o.Cached:
			state = "cached"
		}
		if !o.Stable {
			state += ", unstable"
		}
		if o.Ran() != (state != "cached" && state != "would run") {
			l.t.Errorf("%s is %s and Ran says %v", o.Node.Op.GetExec().Meta.Args[0], state, o.Ran())
		}
		if o.Key == "" || len(o.Definition) == 0 {
			l.t.Errorf("an outcome without its key: %+v", o)
		}
		out[o.Node.Op.GetExec().Meta.Args[0]] = state
	}
	_, err := s.Solve(context.Background(), Edge{Node: n})
	if (err != nil) != (len(l.fail) > 0) {
		l.t.Fatal(err)
	}
	return out
}

func TestOutcome(t *testing.T) {
	l, c := newLab(t), newMemory()
	base := l.step("base", false)
	l.solve(c, base)
	l.moving["mid"] = true
	l.fail["top"] = errors.New("boom")
	got := l.told(c, l.step("top", false, l.step("mid", false, base)), false)
	if diff := cmp.Diff(map[string]string{"base": "cached", "mid": "ran, unstable", "top": "failed"}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

// A plan runs nothing, and finds what stands on a step whose record is gone.
func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ignore bool              // run mid anew
		forget string            // a record that is gone
		extra  string            // a step that was not built
		want   map[string]string // by step
	}{
		{"all cached", false, "", "top", map[string]string{"base": "cached", "mid": "cached", "top": "cached"}},
		{"one step more", false, "", "new", map[string]string{"base": "cached", "mid": "cached", "new": "would run"}},
		{"a record is gone", false, "mid", "top", map[string]string{"base": "cached", "mid": "would run", "top": "cached"}},
		{"no cache", true, "", "top", map[string]string{"base": "cached", "mid": "would run", "top": "would run"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, c := newLab(t), newMemory()
			base := l.step("base", false)
			l.solve(c, l.step("top", false, l.step("mid", false, base)))
			for k, r := range c.records {
				if r.Description == "exec ["+tt.forget+"]" {
					delete(c.records, k)
				}
			}
			before := l.ran()
			mid := l.step("mid", tt.ignore, base)
			l.content[tt.extra] = "" // what was not made cannot be looked into
			got := l.told(c, l.step(tt.extra, false, mid), true)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
			after := l.ran()
			delete(after, "new")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("a plan ran something (-before +after):\n%s", diff)
			}
		})
	}
}

// What is planned has no files: nobody may ask for the content.
func TestPlanAsksForNoContent(t *testing.T) {
	l, c := newLab(t), newMemory()
	l.content["copy"] = "same files"
	l.solve(c, l.step("copy", false, l.step("old", false)))
	got := l.told(c, l.step("copy", false, l.step("new", false)), true)
	if diff := cmp.Diff(map[string]string{"new": "would run", "copy": "would run"}, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	var none []store.LayerID
	for _, r := range c.records {
		none = append(none, r.Outputs[0]...)
	}
	if len(none) == 0 {
		t.Error("the records of the first build are gone")
	}
}
