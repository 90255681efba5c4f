package script

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2038 = rule("SC2038", lint.Warning, "find into xargs by lines", func(v *view) {
	each(v, func(_ int, n *syntax.BinaryCmd) {
		if n.Op != syntax.Pipe {
			return
		}
		from, to := callOf(n.X), callOf(n.Y)
		if b, ok := n.X.Cmd.(*syntax.BinaryCmd); ok {
			from = callOf(b.Y)
		}
		if from == nil || to == nil || v.name(from) != "find" || v.name(to) != "xargs" {
			return
		}
		zero := slices.ContainsFunc(v.words(to), func(w string) bool {
			return w == "--null" || w == "-d" || strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--") && strings.Contains(w, "0")
		})
		if !zero && !slices.ContainsFunc(v.words(from), func(w string) bool { return w == "-print0" || w == "-printf" }) {
			v.report(from, "names with blanks break: write find … -print0 | xargs -0, or find … -exec … {} +")
		}
	})
})
