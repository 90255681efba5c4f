package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2059 = rule("SC2059", lint.Info, "a variable in the format of printf", func(v *view) {
	each(v, func(_ int, c *syntax.CallExpr) {
		if v.name(c) != "printf" {
			return
		}
		args := c.Args[1:]
		if len(args) > 1 && v.Literal(args[0]) == "-v" {
			args = args[2:]
		}
		if len(args) > 0 && v.Literal(args[0]) == "--" {
			args = args[1:]
		}
		if len(args) == 0 || !expands(args[0].Parts) || strings.Contains(v.Literal(args[0]), "%") && len(args) > 1 && !expands(args[0].Parts) {
			return
		}
		v.report(args[0], "%s", `a percent sign in the value becomes a directive: write printf '…%s…' "$value"`)
	})
})

func expands(parts []syntax.WordPart) bool {
	for _, p := range parts {
		switch p := p.(type) {
		case *syntax.ParamExp, *syntax.CmdSubst:
			return true
		case *syntax.DblQuoted:
			if expands(p.Parts) {
				return true
			}
		}
	}
	return false
}
