package script

import (
	"errors"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

// parse reports a script that is none, under the code that is nearest to why.
var parse = lint.Rule{Code: "SC1073", Level: lint.Error, Title: "a script that does not parse", Check: func(p *lint.Pass) {
	r := rule("SC1073", lint.Error, "", func(v *view) {
		var pe syntax.ParseError
		if v.Err == nil || !errors.As(v.Err, &pe) {
			return
		}
		at := min(int(pe.Pos.Offset()), v.Text.Len())
		p.ReportAs(parseCode(pe.Text), lint.Error, v.Text.RangeOf(at, min(at+1, v.Text.Len())), nil,
			"the shell would not read this: "+pe.Text)
	})
	r.Check(p)
}}

// parseCode picks the code for what the parser has met.
func parseCode(text string) string {
	switch {
	case strings.Contains(text, "words and redirects"):
		return "SC1036"
	case strings.Contains(text, "must be followed by \"then\"") || strings.Contains(text, "must end with \"fi\""):
		return "SC1046"
	case strings.Contains(text, "must end with \"done\"") || strings.Contains(text, "must be followed by \"do\""):
		return "SC1061"
	case strings.Contains(text, "can only be used to end") || strings.Contains(text, "can only be used in"):
		return "SC1089"
	case strings.Contains(text, "must be followed by a statement") || strings.Contains(text, "can only immediately follow a statement"):
		return "SC1133"
	}
	return "SC1073"
}

var sc1083 = rule("SC1083", lint.Warning, "a brace that means nothing", func(v *view) {
	each(v, func(i int, w *syntax.Word) {
		c, n := v.commandOf(i)
		if c == nil || n == 0 {
			return
		}
		for _, p := range w.Parts {
			if l, ok := p.(*syntax.Lit); ok && strayBrace(l.Value) {
				v.report(w, "a brace is only a character here; if it should be more it begins a command, or else quote it")
				return
			}
		}
	})
})

// strayBrace says whether a literal has a brace that is not {} as find has it,
// nor one of those that bash makes words of, nor escaped.
func strayBrace(s string) bool {
	if hasBraces(s) || strings.Contains(s, "@{") {
		return false
	}
	s = strings.ReplaceAll(s, "{}", "")
	for i := range len(s) {
		if (s[i] == '{' || s[i] == '}') && (i == 0 || s[i-1] != '\\') {
			return true
		}
	}
	return false
}
