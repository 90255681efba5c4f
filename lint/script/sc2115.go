package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2115 = rule("SC2115", lint.Warning, "rm -r of what may become /", func(v *view) {
	each(v, func(_ int, c *syntax.CallExpr) {
		if v.name(c) != "rm" || !recursive(v.words(c)) {
			return
		}
		for _, w := range c.Args[1:] {
			if name := mayBeRoot(w); name != "" {
				v.report(w, "if %s is empty this deletes from the root: write ${%s:?}", name, name)
			}
		}
	})
})

func recursive(words []string) bool {
	for _, w := range words {
		if w == "--recursive" || strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--") && strings.ContainsAny(w, "rR") {
			return true
		}
	}
	return false
}

// mayBeRoot is the variable at the head of a path that is nothing but it and a
// slash, with a * or a directory of the system behind it.
func mayBeRoot(w *syntax.Word) string {
	parts := w.Parts
	var flat []syntax.WordPart
	for _, p := range parts {
		if q, ok := p.(*syntax.DblQuoted); ok {
			flat = append(flat, q.Parts...)
		} else {
			flat = append(flat, p)
		}
	}
	rest := ""
	name := ""
	for i, p := range flat {
		switch p := p.(type) {
		case *syntax.ParamExp:
			if p.Param == nil || p.Exp != nil {
				return ""
			}
			if i == 0 {
				name = p.Param.Value
			}
		case *syntax.Lit:
			rest += p.Value
		default:
			return ""
		}
	}
	if name == "" || !strings.HasPrefix(rest, "/") {
		return ""
	}
	switch strings.TrimRight(strings.TrimPrefix(strings.ReplaceAll(rest, "//", "/"), "/"), "/*") {
	case "", "bin", "boot", "dev", "etc", "home", "lib", "mnt", "usr", "usr/bin", "usr/lib", "usr/local", "usr/share", "var", "var/lib":
		return name
	}
	return ""
}
