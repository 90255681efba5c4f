package history

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A matching pairs the steps of a build with those of an earlier one.
type matching struct {
	old map[*Step]*Step // by new
	new map[*Step]*Step // by old
}

// stageStep is how the front end names the steps of a stage: "[build 2/5] RUN x".
var stageStep = regexp.MustCompile(`(?s)^\[(?:(.*) )?(\d+)/\d+\] (.*)$`)

// placed is a step with its place in a stage.
type placed struct {
	*Step
	stage string
	index int
	words string // the instruction
}

func place(s *Step) (placed, bool) {
	m := stageStep.FindStringSubmatch(s.Name)
	if m == nil {
		return placed{}, false
	}
	n, _ := strconv.Atoi(m[2])
	return placed{Step: s, stage: m[1], index: n, words: m[3]}, true
}

// instruction is a step's name without its place.
func (s *Step) instruction() string {
	if p, ok := place(s); ok {
		return p.words
	}
	return s.Name
}

// keyword is the instruction's first word.
func (s *Step) keyword() string {
	word, _, _ := strings.Cut(s.instruction(), " ")
	return word
}

// match pairs steps that have the same part in both builds: in each stage those
// that the fewest insertions, removals and changes of instructions lead to, and
// besides them those with the same name.
func match(now, before []*Step) *matching {
	m := &matching{old: map[*Step]*Step{}, new: map[*Step]*Step{}}
	newStages, oldStages := stages(now), stages(before)
	pairs := pairStages(newStages, oldStages)
	for name, steps := range newStages {
		if old, ok := pairs[name]; ok {
			m.align(steps, oldStages[old])
		}
	}
	for _, s := range now {
		if m.old[s] != nil {
			continue
		}
		for _, o := range before {
			if m.new[o] == nil && s.Kind == o.Kind && (s.Name == o.Name || s.Vertex == o.Vertex) {
				m.pair(s, o)
				break
			}
		}
	}
	return m
}

func (m *matching) pair(s, o *Step) { m.old[s], m.new[o] = o, s }

func stages(steps []*Step) map[string][]placed {
	out := map[string][]placed{}
	for _, s := range steps {
		if p, ok := place(s); ok {
			out[p.stage] = append(out[p.stage], p)
		}
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b placed) int { return cmp.Or(a.index-b.index, a.Number-b.Number) })
	}
	return out
}

// pairStages pairs stages by name, and those whose name changed by what they do.
func pairStages(now, before map[string][]placed) map[string]string {
	pairs, taken := map[string]string{}, map[string]bool{}
	var rest []string
	for name := range now {
		if before[name] != nil {
			pairs[name], taken[name] = name, true
		} else {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	for _, name := range rest {
		best, most := "", 0
		for old, steps := range before {
			n := common(now[name], steps)
			if !taken[old] && n > 0 && (n > most || n == most && old < best) {
				best, most = old, n
			}
		}
		if most > 0 {
			pairs[name], taken[best] = best, true
		}
	}
	return pairs
}

// common counts the steps of a whose instruction is in b.
func common(a, b []placed) int {
	n := 0
	for _, s := range a {
		if slices.ContainsFunc(b, func(o placed) bool { return same(s, o) }) {
			n++
		}
	}
	return n
}

func same(a, b placed) bool {
	if a.Kind != b.Kind {
		return false
	}
	if a.Text != "" && b.Text != "" {
		return strings.TrimSpace(a.Text) == strings.TrimSpace(b.Text)
	}
	return a.words == b.words
}

// price is what it costs to take b for a; more than removing one and inserting
// the other for steps that have nothing in common.
func price(a, b placed) int {
	switch {
	case same(a, b):
		return 0
	case a.Kind == b.Kind && a.keyword() == b.keyword():
		return 1
	}
	return 3
}

// align pairs the steps of one stage by the cheapest edit.
func (m *matching) align(now, before []placed) {
	w := len(before) + 1
	cost := make([]int, (len(now)+1)*w)
	for i := range len(now) + 1 {
		for j := range w {
			switch {
			case i == 0:
				cost[j] = j
			case j == 0:
				cost[i*w] = i
			default:
				cost[i*w+j] = min(cost[(i-1)*w+j]+1, cost[i*w+j-1]+1, cost[(i-1)*w+j-1]+price(now[i-1], before[j-1]))
			}
		}
	}
	for i, j := len(now), len(before); i > 0 && j > 0; {
		switch c := cost[i*w+j]; {
		case c == cost[(i-1)*w+j-1]+price(now[i-1], before[j-1]):
			m.pair(now[i-1].Step, before[j-1].Step)
			i, j = i-1, j-1
		case c == cost[(i-1)*w+j]+1:
			i--
		default:
			j--
		}
	}
}
