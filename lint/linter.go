package lint

import (
	"cmp"
	"errors"
	"slices"

	"github.com/mica-build/mica/lint/dockerfile"
)

// A Linter runs rules over files.
type Linter struct {
	Rules    []Rule
	Settings Settings
}

// ParseCode is the code of a file that is no Dockerfile.
const ParseCode = "DL1000"

// An Input is a file to look at.
type Input struct {
	Name string // as findings call it
	Raw  []byte
	// Ignore are the patterns of the ignore file beside it; nil if that is unknown.
	Ignore []string
	// Images tells what is known of a base image without asking a registry; nil is
	// nothing.
	Images func(name string) (Image, bool)
}

// An Image is what a rule may ask about a base image.
type Image struct {
	OS, Architecture string
	Env              []string // NAME=value
	Shell            []string
}

// Run looks at one file. Findings are in the order of the file.
func (l *Linter) Run(input Input) []Finding {
	name := input.Name
	f, err := dockerfile.Parse(name, input.Raw)
	if err != nil {
		return l.keep(nil, []Finding{broken(name, err)})
	}
	src := newSource(f)
	src.Ignore, src.Images = input.Ignore, input.Images
	var out []Finding
	for _, in := range f.Instructions {
		if in.Err != nil {
			out = append(out, Finding{File: name, Range: in.Keyword.Range(), Code: ParseCode, Message: in.Err.Error()})
		}
	}
	for i := range l.Rules {
		r := &l.Rules[i]
		if !l.asks(r.Code) && (r.Twin == "" || len(l.Settings.Only) > 0) {
			continue
		}
		p := Pass{Source: src, Settings: &l.Settings, rule: r}
		r.Check(&p)
		out = append(out, p.out...)
	}
	return l.keep(src, out)
}

func broken(name string, err error) Finding {
	f := Finding{File: name, Code: ParseCode, Message: err.Error(), Range: dockerfile.Range{
		Start: dockerfile.Pos{Line: 1, Column: 1}, End: dockerfile.Pos{Line: 1, Column: 1},
	}}
	var pe *dockerfile.ParseError
	if errors.As(err, &pe) {
		f.Range = pe.Range
	}
	return f
}

// asks says whether a rule is to be run. Rules that speak for many codes have
// codes that no setting names.
func (l *Linter) asks(code string) bool {
	return !l.Settings.Ignored[code] && (len(l.Settings.Only) == 0 || l.Settings.Only[code])
}

// keep applies levels, lists and pragmas, drops twins and sorts.
func (l *Linter) keep(src *Source, all []Finding) []Finding {
	all = l.dropTwins(src, all) // first: who ignores one does not want to hear it by its other name
	out := all[:0]
	for _, f := range all {
		if level, ok := l.Settings.Levels[f.Code]; ok {
			f.Level = level
		}
		if src != nil && isCheck(f.Code) {
			if src.check.skips(f.Code) || src.skippedAt(&f) {
				continue
			}
			if src.check.fail {
				f.Level = Error
			}
		}
		if f.Level == Ignore || !l.asks(f.Code) || src != nil && l.silenced(src, &f) {
			continue
		}
		out = append(out, f)
	}
	if src != nil && l.Settings.Unused {
		out = append(out, src.unused()...)
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Range.Start.Line, b.Range.Start.Line),
			cmp.Compare(a.Range.Start.Column, b.Range.Start.Column),
			cmp.Compare(a.Code, b.Code),
		)
	})
	return out
}

func (l *Linter) silenced(src *Source, f *Finding) bool {
	if l.Settings.NoPragmas {
		return false
	}
	in := src.at(f.Range.Start.Line)
	silent := false
	for i := range src.pragmas {
		if p := &src.pragmas[i]; p.silences(f, in) {
			p.used[f.Code] = true
			silent = true
		}
	}
	return silent
}

// at is the instruction that a line belongs to.
func (s *Source) at(line int) *dockerfile.Instruction {
	i, ok := slices.BinarySearchFunc(s.Instructions, line, func(in *dockerfile.Instruction, line int) int {
		switch {
		case in.Range.End.Line < line:
			return -1
		case in.Range.Start.Line > line:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return s.Instructions[i]
}

// dropTwins keeps one of two findings that are the same under two names.
func (l *Linter) dropTwins(src *Source, all []Finding) []Finding {
	if src == nil {
		return all
	}
	twin := map[string]string{} // the other name to the one that stays
	for i := range l.Rules {
		if t := l.Rules[i].Twin; t != "" {
			twin[l.Rules[i].Code] = t
		}
	}
	first := map[twinKey]int{}
	for i := range all {
		if other := twin[all[i].Code]; other != "" {
			first[src.twinKey(all[i].Code, other, &all[i])] = i
		}
	}
	drop := map[int]bool{}
	for i := range all {
		for _, code := range namesakes(twin, all[i].Code) {
			if j, ok := first[src.twinKey(code, all[i].Code, &all[i])]; ok && j != i {
				all[j].Also = all[i].Code
				drop[i] = true
			}
		}
	}
	out := make([]Finding, 0, len(all))
	for i, f := range all {
		if !drop[i] {
			out = append(out, f)
		}
	}
	return out
}

// A twinKey is what two findings that say the same have in common.
type twinKey struct {
	code  string
	in    *dockerfile.Instruction
	stage *dockerfile.Stage
	name  string
}

// twinKey is the instruction that a finding is about. Of instructions that may
// stand once in a stage, one rule reports the first and the other the last.
func (s *Source) twinKey(code, other string, f *Finding) twinKey {
	in := s.at(f.Range.Start.Line)
	if in != nil && other == "MultipleInstructionsDisallowed" {
		return twinKey{code: code, stage: in.Stage, name: in.Name}
	}
	return twinKey{code: code, in: in}
}

// namesakes are the codes that have code as their twin.
func namesakes(twin map[string]string, code string) []string {
	var out []string
	for own, other := range twin {
		if other == code {
			out = append(out, own)
		}
	}
	return out
}

// UnusedCode is the code of a pragma that silences nothing.
const UnusedCode = "ML0001"

func (s *Source) unused() []Finding {
	var out []Finding
	for i := range s.pragmas {
		p := &s.pragmas[i]
		for _, code := range p.ignore {
			if !p.used[code] {
				out = append(out, Finding{
					File: s.Name, Range: p.text.Range(), Level: Info, Code: UnusedCode,
					Message: code + " is silenced here, but finds nothing",
				})
			}
		}
	}
	return out
}
