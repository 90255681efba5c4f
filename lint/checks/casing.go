package checks

import (
	"strings"

	"github.com/mica-build/mica/lint"
)

var stageNameCasing = lint.Rule{
	Code: "StageNameCasing", Level: lint.Warning, Title: "a stage name with upper case",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if s.Name != strings.ToLower(s.Name) {
				w := s.From.Fields()[2]
				p.Report(w.Range(), "stage names are in lower case: %s", strings.ToLower(s.Name))
			}
		}
	},
}

var fromAsCasing = lint.Rule{
	Code: "FromAsCasing", Level: lint.Warning, Title: "FROM and as differ in case",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if s.Name == "" {
				continue
			}
			as, from := s.From.Fields()[1], s.From.Keyword
			if isUpper(from.String()) != isUpper(as.String()) {
				want := matchCase("AS", from.String())
				fix := []lint.Edit{{Range: as.Range(), Text: want}}
				p.Suggest(as.Range(), fix, "%s beside %s: write %s", as, from, want)
			}
		}
	},
}

var consistentInstructionCasing = lint.Rule{
	Code: "ConsistentInstructionCasing", Level: lint.Warning, Title: "instructions in upper and in lower case",
	Check: func(p *lint.Pass) {
		upper, lower := 0, 0
		for _, in := range p.Instructions {
			switch w := in.Keyword.String(); {
			case isUpper(w):
				upper++
			case isLower(w):
				lower++
			}
		}
		is, want, change := isUpper, "upper", strings.ToUpper
		if lower > upper {
			is, want, change = isLower, "lower", strings.ToLower
		}
		for _, in := range p.Instructions {
			if w := in.Keyword.String(); !is(w) {
				fix := []lint.Edit{{Range: in.Keyword.Range(), Text: change(w)}}
				p.Suggest(in.Keyword.Range(), fix, "most instructions of this file are in %s case: write %s", want, change(w))
			}
		}
	},
}

func isUpper(s string) bool { return s == strings.ToUpper(s) }
func isLower(s string) bool { return s == strings.ToLower(s) }

// matchCase gives a keyword the case of another.
func matchCase(word, like string) string {
	if isUpper(like) {
		return strings.ToUpper(word)
	}
	return strings.ToLower(word)
}
