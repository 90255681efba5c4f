package script

import (
	"mvdan.cc/sh/v3/syntax"
)

// splits says whether the shell splits what node i expands to into words: it is
// an argument, not in quotes, and not where words are not split.
func (v *view) splits(i int) bool {
	if v.inQuotes(i) {
		return false
	}
	yes := false
	v.Up(i, func(at int, n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Word:
			return true
		case *syntax.CallExpr:
			yes = true
		case *syntax.Redirect:
			yes = n.Op != syntax.Hdoc && n.Op != syntax.DashHdoc && n.Op != syntax.WordHdoc
		case *syntax.ParamExp:
			return true // a default within an expansion: as that one
		case *syntax.Assign:
			// In bash export takes assignments; in sh it is a command like others.
			_, yes = v.parent(at).(*syntax.DeclClause)
			yes = yes && (v.dialect == "sh" || v.dialect == "dash")
		}
		return false
	})
	return yes
}

// isName says whether node i is part of the first word of a call.
func (v *view) isName(i int) bool {
	for i >= 0 {
		if _, ok := v.Nodes[i].Node.(*syntax.Word); ok {
			c, n := v.commandOf(i)
			return c != nil && n == 0
		}
		i = v.up(i)
	}
	return false
}

// noBlanks are variables of the shell that are numbers.
var noBlanks = map[string]bool{
	"#": true, "?": true, "$": true, "!": true, "-": true, "BASHPID": true, "COLUMNS": true, "EPOCHREALTIME": true,
	"EPOCHSECONDS": true, "EUID": true, "LINENO": true, "LINES": true, "OPTIND": true, "PPID": true, "RANDOM": true,
	"SECONDS": true, "SHLVL": true, "UID": true,
}
