package script

import (
	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2140 = rule("SC2140", lint.Warning, "quotes that end where they should not", func(v *view) {
	each(v, func(_ int, w *syntax.Word) {
		for i := 0; i+2 < len(w.Parts); i++ {
			a, ok1 := w.Parts[i].(*syntax.DblQuoted)
			l, ok2 := w.Parts[i+1].(*syntax.Lit)
			b, ok3 := w.Parts[i+2].(*syntax.DblQuoted)
			if ok1 && ok2 && ok3 && isWord(l.Value) && a != b {
				v.report(w, `the middle of "…"%s"…" is not quoted: where quotes are meant to be in it, write \"`, l.Value)
				return
			}
		}
	})
})

// isWord says whether a literal is one that people would want in quotes.
func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return s != ""
}
