package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2002 = rule("SC2002", lint.Style, "cat of one file into a pipe", func(v *view) {
	each(v, func(i int, n *syntax.BinaryCmd) {
		if n.Op != syntax.Pipe {
			return
		}
		// Of a | b | c the tree is (a | b) | c: only the first command counts.
		c := callOf(n.X)
		if c == nil || len(c.Args) != 2 || v.name(c) != "cat" || len(n.X.Redirs) > 0 {
			return
		}
		arg := c.Args[1]
		if file := v.Literal(arg); strings.HasPrefix(file, "-") || strings.ContainsAny(file, "*?[{") || unquotedExpansion(arg) {
			return // may be several files
		}
		v.report(c, "cat is not needed: give the file to the next command, or write < FILE")
	})
})

func unquotedExpansion(w *syntax.Word) bool {
	for _, p := range w.Parts {
		switch p.(type) {
		case *syntax.ParamExp, *syntax.CmdSubst:
			return true
		}
	}
	return false
}
