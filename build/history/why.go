//go:build linux

package history

import (
	"slices"
	"strings"
)

// An Explanation says why one step ran, or would run.
type Explanation struct {
	Step *Step
	// Cause is the first input that differs from the last build of the same
	// target; the step's own inputs come before the steps it stands on.
	Cause *Cause
	// Others differ too.
	Others []*Cause
	// Since is the build compared with; "" if there is none.
	Since ID
}

// Why explains every step of b that ran or would run, in order. The steps may
// be those of a build that is not recorded, with b.ID "": a plan.
func (h *History) Why(b *Build, steps []*Step) ([]Explanation, error) {
	c, err := h.compare(b, steps)
	if err != nil {
		return nil, err
	}
	var out []Explanation
	for _, s := range steps {
		if s.Ran() {
			out = append(out, *c.explain(s))
		}
	}
	return out, nil
}

// comparison compares a build with the earlier ones of its target.
type comparison struct {
	h       *History
	b       *Build
	steps   []*Step
	by      map[string]*Step // by vertex
	earlier []*past          // newest first
	known   map[*Step]*Explanation
}

// past is an earlier build. Its steps are read when they are needed.
type past struct {
	*Build
	steps []*Step
	by    map[string]*Step
	*matching
}

func (h *History) compare(b *Build, steps []*Step) (*comparison, error) {
	c := &comparison{h: h, b: b, steps: steps, by: byVertex(steps), known: map[*Step]*Explanation{}}
	ids, err := h.ids()
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Backward(ids) {
		if b.ID != "" && id >= b.ID {
			continue
		}
		if old, err := h.read(id); err == nil && old.SameTarget(b) && old.State != Running {
			c.earlier = append(c.earlier, &past{Build: old})
		}
	}
	return c, nil
}

func byVertex(steps []*Step) map[string]*Step {
	m := make(map[string]*Step, len(steps))
	for _, s := range steps {
		m[s.Vertex] = s
	}
	return m
}

// load reads and matches an earlier build's steps. Steps that are gone are none.
func (c *comparison) load(p *past) {
	if p.matching != nil {
		return
	}
	p.steps, _ = c.h.Steps(p.Build)
	p.by = byVertex(p.steps)
	p.matching = match(c.steps, p.steps)
}

// explain says how s differs from before, whether or not it ran.
func (c *comparison) explain(s *Step) *Explanation {
	if x, ok := c.known[s]; ok {
		return x
	}
	x := &Explanation{Step: s}
	c.known[s] = x
	c.fill(x)
	return x
}

func (c *comparison) fill(x *Explanation) {
	s := x.Step
	if s.NoCache {
		x.Cause = &Cause{Kind: CauseNoCache}
	}
	for _, p := range c.earlier {
		c.load(p)
		old := p.old[s]
		switch {
		case old == nil && len(p.steps) == 0, old == nil && p.State != Done:
			continue // it did not come that far
		case old == nil:
			x.add(p.ID, &Cause{Kind: CauseNew})
			return
		}
		for _, cause := range c.differences(s, old, p) {
			x.add(p.ID, cause)
		}
		if x.Cause == nil {
			x.add(p.ID, c.lost(s, old, p))
		}
		return
	}
	x.add("", &Cause{Kind: CauseFirst})
}

func (x *Explanation) add(since ID, c *Cause) {
	x.Since = since
	switch {
	case c == nil, x.Cause != nil && x.Cause.Kind == CauseNoCache:
	case x.Cause == nil:
		x.Cause = c
	default:
		x.Others = append(x.Others, c)
	}
}

// lost says why a step whose inputs are as they were is not in the cache; nil
// when it is.
func (c *comparison) lost(s, old *Step, p *past) *Cause {
	switch {
	case !s.Ran():
		return nil
	case old.State == StepFailed:
		return &Cause{Kind: CauseFailed, What: string(p.ID), To: "failed"}
	case old.State == StepCanceled:
		return &Cause{Kind: CauseFailed, What: string(p.ID), To: "was stopped"}
	case old.Unstable:
		return &Cause{Kind: CauseUnstable, What: string(p.ID)}
	}
	return &Cause{Kind: CauseNoRecord, What: string(p.ID)}
}

// differences lists what is different between s and old, the most telling first.
func (c *comparison) differences(s, old *Step, p *past) []*Cause {
	if s.Key != "" && s.Key == old.Key {
		return nil
	}
	d := diff{c: c, p: p, s: s, old: old}
	switch s.Kind {
	case "image":
		return d.image()
	case "local":
		return nil // what of it is read counts where it is read
	case "http", "git":
		d.remote()
	case "exec":
		d.exec()
	case "file":
		d.file()
	default:
		d.through()
		return d.found
	}
	d.inputs()
	return d.found
}

// filesOf gives what a step read of one input, from the step itself or from an
// earlier one with the same key: a hit by definition does not look.
func (c *comparison) filesOf(s *Step, input int) []Read {
	if r := s.reads(input); len(r) > 0 || s.Key == "" {
		return r
	}
	for _, p := range c.earlier {
		c.load(p)
		for _, o := range p.steps {
			if o.Key == s.Key {
				if r := o.reads(input); len(r) > 0 {
					return r
				}
			}
		}
	}
	return nil
}

// secretWords mark the names of variables whose values are not shown.
var secretWords = []string{"SECRET", "TOKEN", "PASSW", "PASSPHRASE", "CREDENTIAL", "APIKEY", "API_KEY", "PRIVATE_KEY", "ACCESS_KEY"}

// Secret says whether a variable of this name is likely to hold a secret.
func Secret(name string) bool {
	name = strings.ToUpper(name)
	return slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(name, w) })
}
