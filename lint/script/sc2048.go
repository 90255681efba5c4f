package script

import (
	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2048 = rule("SC2048", lint.Warning, "$* without quotes", func(v *view) {
	lists(v, "*", "%s splits the arguments that have blanks: write \"$@\"")
})

var sc2068 = rule("SC2068", lint.Error, "$@ without quotes", func(v *view) {
	lists(v, "@", "without double quotes %s splits its elements again")
})

func lists(v *view, kind, message string) {
	each(v, func(i int, n *syntax.ParamExp) {
		if listOf(n) == kind && !n.Length && !v.inQuotes(i) && (v.splits(i) || inFor(v, i)) {
			v.report(n, message, v.Source(n))
		}
	})
}

// inFor says whether node i is in the list of a for.
func inFor(v *view, i int) bool {
	yes := false
	v.Up(i, func(_ int, n syntax.Node) bool {
		_, yes = n.(*syntax.WordIter)
		_, word := n.(*syntax.Word)
		return word
	})
	return yes
}
