package lint

import (
	"fmt"

	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

// A Rule looks at a whole file and reports what it finds.
type Rule struct {
	Code  string
	Level Level // unless Settings say otherwise
	Title string
	// Twin is the code of a rule with the same idea: of two findings about one
	// instruction only this rule's is kept.
	Twin  string
	Check func(*Pass)
}

// A Finding is one thing that one rule found.
type Finding struct {
	File    string
	Range   dockerfile.Range
	Level   Level
	Code    string
	Also    string // another code for the same, see Rule.Twin
	Message string
	Fix     []Edit // what would mend it, if that is safe
}

// An Edit replaces a range of the file.
type Edit struct {
	Range dockerfile.Range
	Text  string
}

// A Pass is one rule at work on one file.
type Pass struct {
	*Source
	Settings *Settings
	rule     *Rule
	out      []Finding
}

// Report adds a finding at r.
func (p *Pass) Report(r dockerfile.Range, format string, args ...any) {
	p.Suggest(r, nil, format, args...)
}

// Suggest adds a finding and how to mend it.
func (p *Pass) Suggest(r dockerfile.Range, fix []Edit, format string, args ...any) {
	p.ReportAs(p.rule.Code, p.rule.Level, r, fix, fmt.Sprintf(format, args...))
}

// ReportAs adds a finding under a code of its own, for rules that speak for many.
func (p *Pass) ReportAs(code string, level Level, r dockerfile.Range, fix []Edit, message string) {
	p.out = append(p.out, Finding{File: p.Name, Range: r, Level: level, Code: code, Message: message, Fix: fix})
}

// Each calls fn for the instructions that have one of the names; ONBUILD is one
// itself, what it wraps is not.
func (p *Pass) Each(fn func(*dockerfile.Instruction), names ...string) {
	for _, in := range p.Instructions {
		for _, n := range names {
			if in.Name == n {
				fn(in)
			}
		}
	}
}

// Deep is Each for wrapped instructions too.
func (p *Pass) Deep(fn func(*dockerfile.Instruction), names ...string) {
	for _, in := range p.Instructions {
		if in.Name == "ONBUILD" && in.Inner != nil {
			in = in.Inner
		}
		for _, n := range names {
			if in.Name == n {
				fn(in)
			}
		}
	}
}

// Runs calls fn for each script of each RUN, those of ONBUILD RUN too.
func (p *Pass) Runs(fn func(*dockerfile.Instruction, *shell.Script)) {
	p.Deep(func(in *dockerfile.Instruction) {
		for _, s := range p.Scripts(in) {
			fn(in, s)
		}
	}, "RUN")
}
