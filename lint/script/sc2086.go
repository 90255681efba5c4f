package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

var sc2086 = rule("SC2086", lint.Info, "a variable without quotes is split into words", func(v *view) {
	values := v.assigned()
	each(v, func(i int, n *syntax.ParamExp) {
		if n.Param == nil || n.Length || n.Width || !v.splits(i) || v.isName(i) || listOf(n) == "@" || n.Index != nil {
			return
		}
		name := n.Param.Value
		if noBlanks[name] || v.env[name] && !values.has(name) || values.plain(name) {
			return
		}
		if n.Exp != nil && (n.Exp.Op == syntax.AlternateUnset || n.Exp.Op == syntax.AlternateUnsetOrNull) {
			return // what is put in instead is looked at by itself
		}
		v.report(n, "put double quotes around %s, or blanks and * in its value take effect", v.Source(n))
	})
})

// listOf is @ or * if an expansion gives all of a list.
func listOf(n *syntax.ParamExp) string {
	if n.Param != nil && (n.Param.Value == "@" || n.Param.Value == "*") {
		return n.Param.Value
	}
	if w, ok := n.Index.(*syntax.Word); ok {
		if l := w.Lit(); l == "@" || l == "*" {
			return l
		}
	}
	return ""
}

// values are the names a script assigns, and whether all that they are given is
// plain: a literal that is one word.
type values map[string]bool

func (vs values) has(name string) bool   { _, ok := vs[name]; return ok }
func (vs values) plain(name string) bool { return vs[name] }

// assigned collects assignments and what sets variables in other ways.
func (v *view) assigned() values {
	out := values{}
	set := func(name string, plain bool) {
		if old, ok := out[name]; ok {
			plain = plain && old
		}
		out[name] = plain
	}
	each(v, func(_ int, n *syntax.Assign) {
		if n.Name != nil {
			set(n.Name.Value, n.Array == nil && !n.Append && v.isPlain(n.Value))
		}
	})
	each(v, func(_ int, n *syntax.WordIter) {
		plain := len(n.Items) > 0
		for _, w := range n.Items {
			plain = plain && v.isPlain(w)
		}
		set(n.Name.Value, plain)
	})
	each(v, func(_ int, n *syntax.ParamExp) {
		if n.Exp != nil && (n.Exp.Op == syntax.AssignUnset || n.Exp.Op == syntax.AssignUnsetOrNull) && n.Param != nil {
			set(n.Param.Value, false)
		}
	})
	for _, c := range v.Commands {
		switch c.Name {
		case "read", "mapfile", "readarray", "getopts", "printf", "unset", "let":
			for _, a := range c.Args {
				name, _, _ := strings.Cut(a.Text, "=")
				set(name, false)
			}
		}
	}
	return out
}

// isPlain says whether a word is a literal that nothing would split.
func (v *view) isPlain(w *syntax.Word) bool {
	if w == nil {
		return true
	}
	for _, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.Lit:
			if strings.ContainsAny(p.Value, "*?[") {
				return false
			}
		case *syntax.SglQuoted:
			if strings.ContainsAny(p.Value, " \t\n*?[") {
				return false
			}
		case *syntax.DblQuoted:
			for _, q := range p.Parts {
				if l, ok := q.(*syntax.Lit); !ok || strings.ContainsAny(l.Value, " \t\n*?[") {
					return false
				}
			}
		case *syntax.ArithmExp:
		case *syntax.ParamExp:
			if p.Length || p.Param != nil && noBlanks[p.Param.Value] {
				continue
			}
			return false
		default:
			return false
		}
	}
	return true
}
