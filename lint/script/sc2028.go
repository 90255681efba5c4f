package script

import (
	"regexp"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2028 = rule("SC2028", lint.Info, "echo with escapes", func(v *view) {
	each(v, func(_ int, c *syntax.CallExpr) {
		if v.name(c) != "echo" || len(c.Args) < 2 {
			return
		}
		if first := v.Literal(c.Args[1]); strings.HasPrefix(first, "-") && strings.Contains(first, "e") {
			return
		}
		for _, w := range c.Args[1:] {
			if hasEscape(w) {
				v.report(c, "whether echo takes escapes differs from shell to shell: use printf")
				return
			}
		}
	})
})

var escape = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\\[rnte]|\\0[0-7]|\\x[0-9a-fA-F]`) })

// hasEscape looks at what echo gets: in quotes a backslash stays.
func hasEscape(w *syntax.Word) bool {
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.SglQuoted:
			if escape().MatchString(p.Value) && !p.Dollar {
				return true
			}
		case *syntax.DblQuoted:
			for _, q := range p.Parts {
				if l, ok := q.(*syntax.Lit); ok && escape().MatchString(strings.ReplaceAll(l.Value, `\\`, "")) {
					return true
				}
			}
		}
	}
	return false
}
