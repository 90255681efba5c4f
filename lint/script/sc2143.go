package script

import (
	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2143 = rule("SC2143", lint.Style, "a test of what grep prints", func(v *view) {
	each(v, func(_ int, c *syntax.CallExpr) {
		if v.name(c) != "[" || len(c.Args) < 3 {
			return
		}
		args := c.Args[1:]
		if v.Literal(args[0]) == "!" {
			args = args[1:]
		}
		if op := v.Literal(args[0]); (op == "-n" || op == "-z") && len(args) > 1 && grepInside(v, args[1]) {
			v.report(c, "grep -q says by its exit code whether it found something")
		}
	})
})

func grepInside(v *view, w *syntax.Word) bool {
	found := false
	syntax.Walk(w, func(n syntax.Node) bool {
		sub, ok := n.(*syntax.CmdSubst)
		if !ok || len(sub.Stmts) != 1 {
			return true
		}
		last := sub.Stmts[0]
		if b, ok := last.Cmd.(*syntax.BinaryCmd); ok && b.Op == syntax.Pipe {
			last = b.Y
		}
		if c := callOf(last); c != nil {
			switch v.name(c) {
			case "grep", "egrep", "fgrep", "zgrep":
				found = true
			}
		}
		return false
	})
	return found
}

var sc2181 = rule("SC2181", lint.Style, "a test of $?", func(v *view) {
	each(v, func(_ int, c *syntax.CallExpr) {
		name := v.name(c)
		if name != "[" || len(c.Args) < 4 {
			return
		}
		a, op, b := v.Literal(c.Args[1]), v.Literal(c.Args[2]), v.Literal(c.Args[3])
		if (a == "${?}" && b == "0" || b == "${?}" && a == "0") && (op == "-eq" || op == "-ne" || op == "=" || op == "!=" || op == "-gt") {
			v.report(c, "ask the command itself: if command; then …")
		}
	})
})
