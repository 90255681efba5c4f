package script

import (
	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2015 = rule("SC2015", lint.Info, "A && B || C is no if", func(v *view) {
	each(v, func(i int, n *syntax.BinaryCmd) {
		if n.Op != syntax.OrStmt || v.isCondition(i) || v.goesOn(i) {
			return
		}
		and, ok := n.X.Cmd.(*syntax.BinaryCmd)
		if !ok || and.Op != syntax.AndStmt || harmless(v, n.Y) || isTest(v, and.Y) {
			return
		}
		v.report(n.Y, "this runs also if the middle command fails: where if-then-else is meant, write that")
	})
})

// goesOn says whether another && follows the list at node i.
func (v *view) goesOn(i int) bool {
	stmt, ok := v.parent(i).(*syntax.Stmt)
	b, isList := v.parent(max(v.up(i), 0)).(*syntax.BinaryCmd)
	return ok && isList && b.Op == syntax.AndStmt && b.X == stmt
}

// harmless says whether a command is one that people put last: it reports, or ends.
func harmless(v *view, s *syntax.Stmt) bool {
	c := callOf(s)
	if c == nil {
		return false
	}
	switch v.name(c) {
	case "", "echo", "exit", "return", "printf", "true", ":":
		return true
	}
	return false
}

func isTest(v *view, s *syntax.Stmt) bool {
	switch c := s.Cmd.(type) {
	case *syntax.TestClause:
		return true
	case *syntax.CallExpr:
		return v.name(c) == "[" || v.name(c) == "test"
	}
	return false
}

// isCondition says whether command i is what if or while looks at.
func (v *view) isCondition(i int) bool {
	yes := false
	child := i
	v.Up(i, func(at int, n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.IfClause:
			yes = contains(n.Cond, v.Nodes[child].Node)
			return false
		case *syntax.WhileClause:
			yes = contains(n.Cond, v.Nodes[child].Node)
			return false
		case *syntax.Stmt, *syntax.BinaryCmd:
			child = at
			return true
		}
		return false
	})
	return yes
}
