package script

import (
	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2155 = rule("SC2155", lint.Warning, "a declaration hides whether a command failed", func(v *view) {
	each(v, func(_ int, n *syntax.DeclClause) {
		for _, a := range n.Args {
			if a.Name == nil || a.Value == nil {
				continue
			}
			if substitutes(a.Value.Parts) {
				v.report(a, "%s succeeds even if the command does not: assign first, then %s", n.Variant.Value, n.Variant.Value)
			}
		}
	})
})

// substitutes says whether a word is made of the output of a command.
func substitutes(parts []syntax.WordPart) bool {
	for _, p := range parts {
		switch p := p.(type) {
		case *syntax.CmdSubst:
			return true
		case *syntax.DblQuoted:
			if substitutes(p.Parts) {
				return true
			}
		}
	}
	return false
}
