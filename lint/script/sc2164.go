package script

import (
	"regexp"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2164 = rule("SC2164", lint.Warning, "cd that may fail unnoticed", func(v *view) {
	if v.exitsOnError() {
		return
	}
	each(v, func(i int, n *syntax.CallExpr) {
		name := v.name(n)
		if name != "cd" && name != "pushd" && name != "popd" || v.isChecked(i) {
			return
		}
		w := v.words(n)
		if name != "popd" && len(w) == 2 && rootOrUp().MatchString(w[1]) {
			return
		}
		v.report(n, "if %s fails, what follows runs in the wrong directory: write %s … || exit, or && for ;", name, name)
	})
})

// rootOrUp are directories that are always there: /, . and .. upward.
var rootOrUp = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^/*((\.|\.\.)/+)*(\.|\.\.)?$`) })

// exitsOnError says whether set -e is in force somewhere.
func (v *view) exitsOnError() bool {
	for _, c := range v.Commands {
		if c.Name != "set" {
			continue
		}
		for i, a := range c.Args {
			if strings.HasPrefix(a.Text, "-") && !strings.HasPrefix(a.Text, "--") && strings.Contains(a.Text, "e") ||
				a.Text == "errexit" && i > 0 {
				return true
			}
		}
	}
	line, ok := strings.CutPrefix(v.Text.String(), "#!")
	line, _, _ = strings.Cut(line, "\n")
	return ok && strings.Contains(line, " -e")
}

// isChecked says whether something looks at how command i ends: && and || behind
// it, if, while and !.
func (v *view) isChecked(i int) bool {
	checked := false
	child := i
	v.Up(i, func(at int, n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			checked = false
		case *syntax.BinaryCmd:
			switch n.Op {
			case syntax.AndStmt, syntax.OrStmt:
				checked = n.X == v.Nodes[child].Node || v.isChecked(at)
				return false
			default:
				return false
			}
		case *syntax.IfClause:
			checked = contains(n.Cond, v.Nodes[child].Node)
			return false
		case *syntax.WhileClause:
			checked = contains(n.Cond, v.Nodes[child].Node)
			return false
		case *syntax.Subshell, *syntax.Block:
			// The last command's end is the end of the group.
			stmts := groupOf(n)
			if len(stmts) > 0 && syntax.Node(stmts[len(stmts)-1]) == v.Nodes[child].Node {
				child = at
				return !checked
			}
			return false
		default:
			return false
		}
		child = at
		return !checked
	})
	return checked
}

func groupOf(n syntax.Node) []*syntax.Stmt {
	switch n := n.(type) {
	case *syntax.Subshell:
		return n.Stmts
	case *syntax.Block:
		return n.Stmts
	}
	return nil
}

func contains(list []*syntax.Stmt, n syntax.Node) bool {
	for _, s := range list {
		if syntax.Node(s) == n {
			return true
		}
	}
	return false
}

var sc2103 = rule("SC2103", lint.Info, "cd there and back", func(v *view) {
	if v.exitsOnError() {
		return
	}
	each(v, func(_ int, n *syntax.File) { thereAndBack(v, n.Stmts) })
	each(v, func(_ int, n *syntax.Block) { thereAndBack(v, n.Stmts) })
})

func thereAndBack(v *view, stmts []*syntax.Stmt) {
	there := false
	for _, s := range stmts {
		c := callOf(s)
		if c == nil || v.name(c) != "cd" {
			continue
		}
		w := v.words(c)
		if len(w) == 2 && (w[1] == ".." || w[1] == "-") {
			if there {
				v.report(c, "a ( subshell ) needs no way back, which may fail")
			}
			continue
		}
		there = true
	}
}
