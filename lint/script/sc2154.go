package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2154 = rule("SC2154", lint.Warning, "a variable that nothing sets", func(v *view) {
	set := v.assigned()
	each(v, func(_ int, n *syntax.ParamExp) {
		if n.Exp != nil && n.Param != nil {
			switch n.Exp.Op {
			case syntax.AlternateUnset, syntax.AlternateUnsetOrNull, syntax.DefaultUnset, syntax.DefaultUnsetOrNull,
				syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
				set[n.Param.Value] = false // somebody has thought of it
			}
		}
	})
	reported := map[string]bool{}
	each(v, func(i int, n *syntax.ParamExp) {
		if n.Param == nil || !isLower(n.Param.Value) || set.has(n.Param.Value) || v.env[n.Param.Value] || reported[n.Param.Value] {
			return
		}
		if v.isAlternative(i) {
			return
		}
		reported[n.Param.Value] = true
		v.report(n, "%s is used here, and nothing sets it", n.Param.Value)
	})
})

// isAlternative says whether node i is what ${name:+…} gives if name is set.
func (v *view) isAlternative(i int) bool {
	yes := false
	v.Up(i, func(_ int, n syntax.Node) bool {
		e, ok := n.(*syntax.ParamExp)
		yes = yes || ok && e.Exp != nil && (e.Exp.Op == syntax.AlternateUnset || e.Exp.Op == syntax.AlternateUnsetOrNull)
		_, call := n.(*syntax.CallExpr)
		return !yes && !call
	})
	return yes
}

// isLower says whether a name is one of the script's own: it has lower case.
// Names all in upper case come from outside.
func isLower(name string) bool {
	return name != strings.ToUpper(name) && name[0] != '_' && (name[0] < '0' || name[0] > '9')
}
