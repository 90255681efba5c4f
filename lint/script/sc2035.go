package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2035 = rule("SC2035", lint.Info, "a pattern that may give a flag", func(v *view) {
	each(v, func(_ int, c *syntax.CallExpr) {
		switch v.name(c) {
		case "echo", "printf", "":
			return
		}
		for i, w := range c.Args {
			lit, ok := w.Parts[0].(*syntax.Lit)
			if i == 0 || !ok {
				continue
			}
			if v.Literal(w) == "--" {
				return
			}
			if strings.HasPrefix(lit.Value, "*") || strings.HasPrefix(lit.Value, "?") {
				v.report(w, "a file whose name begins with - would be taken for a flag: write ./%s", v.Source(w))
			}
		}
	})
})
