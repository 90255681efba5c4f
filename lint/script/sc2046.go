package script

import (
	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2046 = rule("SC2046", lint.Warning, "the output of a command without quotes is split into words", func(v *view) {
	each(v, func(i int, n *syntax.CmdSubst) {
		if !v.splits(i) || v.isName(i) || len(n.Stmts) == 0 {
			return
		}
		if c := callOf(n.Stmts[0]); c != nil && len(n.Stmts) == 1 {
			switch v.name(c) {
			case "seq", "pgrep":
				return // words are what it is for
			}
		}
		v.report(n, "put double quotes around the substitution, or blanks and * in what it gives take effect")
	})
})

var sc2006 = rule("SC2006", lint.Style, "backticks", func(v *view) {
	each(v, func(_ int, n *syntax.CmdSubst) {
		if n.Backquotes && len(n.Stmts) > 0 {
			v.report(n, "write $(…) for backticks: it nests, and what is in it needs no escapes")
		}
	})
})
