package lint

import (
	"slices"
	"strings"
	"unicode"

	"github.com/mica-build/mica/lint/dockerfile"
)

// A pragma is a comment that speaks to the linter.
type pragma struct {
	scope  string   // "", stage or global
	ignore []string // codes
	shell  string
	text   dockerfile.Text
	before *dockerfile.Instruction
	inside bool
	used   map[string]bool
}

func pragmas(f *dockerfile.File) []pragma {
	var out []pragma
	for _, c := range f.Comments {
		p, ok := parsePragma(c.Text.String())
		if !ok {
			continue
		}
		p.text, p.before, p.inside = c.Text, c.Before, c.Inside
		p.used = map[string]bool{}
		out = append(out, p)
	}
	return out
}

// parsePragma reads "hadolint [stage|global] ignore=A,B # why" and "hadolint shell=S".
func parsePragma(s string) (pragma, bool) {
	rest, ok := strings.CutPrefix(s, "hadolint")
	if !ok || rest == strings.TrimLeft(rest, " \t") {
		return pragma{}, false
	}
	rest = strings.TrimSpace(rest)
	var p pragma
	for _, scope := range []string{"stage", "global"} {
		if r, ok := strings.CutPrefix(rest, scope); ok && r != strings.TrimLeft(r, " \t") {
			p.scope, rest = scope, strings.TrimSpace(r)
			break
		}
	}
	key, value, ok := strings.Cut(rest, "=")
	if !ok {
		return pragma{}, false
	}
	value, _, _ = strings.Cut(value, "#")
	value = strings.TrimSpace(value)
	switch strings.TrimSpace(key) {
	case "ignore":
		for code := range strings.SplitSeq(value, ",") {
			code = strings.TrimSpace(code)
			if !isCode(code) {
				return pragma{}, false // as a whole: a list that is half understood hides what it should not
			}
			p.ignore = append(p.ignore, code)
		}
		return p, true
	case "shell":
		p.shell = value
		return p, value != "" && p.scope == ""
	}
	return pragma{}, false
}

// isCode says whether s is like the code of a rule: DL3000, SC2086, StageNameCasing.
func isCode(s string) bool {
	return s != "" && s[0] >= 'A' && s[0] <= 'Z' && strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) < 0
}

// silences says whether the pragma is about a finding on instruction in.
func (p *pragma) silences(f *Finding, in *dockerfile.Instruction) bool {
	if !slices.Contains(p.ignore, f.Code) {
		return false
	}
	switch {
	case p.scope == "global":
		return true
	case in == nil || p.before == nil:
		return false
	case p.scope == "stage":
		return p.before.Stage == in.Stage
	case p.inside:
		return f.Range.Start.Line > p.line() && p.before == in && f.Range.Start.Line <= p.line()+1
	}
	return p.before == in
}

func (p *pragma) line() int { return p.text.Pos(0).Line }
