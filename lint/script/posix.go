package script

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
)

// posix makes a rule for what sh does not have. Only of scripts for sh or dash.
func posix(code, title string, check func(*view)) lint.Rule {
	return rule(code, lint.Warning, title, func(v *view) {
		if v.dialect == "sh" || v.dialect == "dash" {
			check(v)
		}
	})
}

// notInSh reports a node with how to say it otherwise.
func (v *view) notInSh(n syntax.Node, what, instead string) {
	v.report(n, "sh has no %s%s; or set SHELL to bash", what, instead)
}

var sc3001 = posix("SC3001", "process substitution in sh", func(v *view) {
	each(v, func(_ int, n *syntax.ProcSubst) { v.notInSh(n, "process substitution", ": use a file or a pipe") })
})

var sc3006 = posix("SC3006", "(( )) in sh", func(v *view) {
	each(v, func(_ int, n *syntax.ArithmCmd) { v.notInSh(n, "((…))", ": use [ … ] with $((…))") })
})

var sc3009 = posix("SC3009", "{a,b} in sh", func(v *view) {
	each(v, func(i int, w *syntax.Word) {
		if c, _ := v.commandOf(i); c == nil {
			return
		}
		for _, p := range w.Parts {
			if l, ok := p.(*syntax.Lit); ok && hasBraces(l.Value) {
				v.notInSh(w, "{a,b}", ": it stays as it is; write the words")
				return
			}
		}
	})
})

// hasBraces says whether bash would expand braces in s.
func hasBraces(s string) bool {
	i := strings.IndexByte(s, '{')
	if i < 0 || i > 0 && (s[i-1] == '$' || s[i-1] == '\\') {
		return false
	}
	j := strings.IndexByte(s[i:], '}')
	if j < 0 {
		return false
	}
	inner := s[i+1 : i+j]
	return strings.Contains(inner, ",") || strings.Contains(inner, "..") && len(inner) > 2
}

var sc3010 = posix("SC3010", "[[ ]] in sh", func(v *view) {
	each(v, func(_ int, n *syntax.TestClause) { v.notInSh(n, "[[ ]]", ": use [ ]") })
})

var sc3011 = posix("SC3011", "<<< in sh", func(v *view) {
	each(v, func(_ int, n *syntax.Redirect) {
		if n.Op == syntax.WordHdoc {
			v.notInSh(n, "<<<", ": use printf and a pipe, or a heredoc")
		}
	})
})

var sc3014 = posix("SC3014", "== in [ ] of sh", func(v *view) {
	each(v, func(_ int, c *syntax.CallExpr) {
		if name := v.name(c); name != "[" && name != "test" {
			return
		}
		for _, w := range c.Args[1:] {
			if w.Lit() == "==" {
				v.notInSh(w, "== in [ ]", ": use =")
			}
		}
	})
})

var sc3020 = posix("SC3020", "&> in sh", func(v *view) {
	each(v, func(_ int, n *syntax.Redirect) {
		if n.Op == syntax.RdrAll || n.Op == syntax.AppAll {
			v.notInSh(n, n.Op.String(), ", where it starts the command in the background: use > FILE 2>&1")
		}
	})
})

var sc3024 = posix("SC3024", "+= in sh", func(v *view) {
	each(v, func(_ int, n *syntax.Assign) {
		if n.Append {
			v.notInSh(n, "+=", ": write the variable again")
		}
	})
})

// shellVariables are set by bash and not by sh.
var shellVariables = []string{
	"BASHPID", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "HOSTNAME", "HOSTTYPE", "MACHTYPE", "OSTYPE",
	"PIPESTATUS", "RANDOM", "SECONDS", "SHELLOPTS", "SHLVL", "UID",
}

var sc3028 = posix("SC3028", "a variable that sh does not set", func(v *view) {
	set := v.assigned()
	each(v, func(_ int, n *syntax.ParamExp) {
		if n.Param == nil || set.has(n.Param.Value) || v.env[n.Param.Value] {
			return
		}
		if name := n.Param.Value; slices.Contains(shellVariables, name) || strings.HasPrefix(name, "BASH_") {
			v.notInSh(n, "$"+name, "")
		}
	})
})

var sc3030 = posix("SC3030", "arrays in sh", func(v *view) {
	each(v, func(_ int, n *syntax.ArrayExpr) { v.notInSh(n, "arrays", ": use set -- and \"$@\"") })
})

var sc3037 = posix("SC3037", "flags of echo in sh", func(v *view) {
	each(v, func(_ int, c *syntax.CallExpr) {
		if v.name(c) != "echo" || len(c.Args) < 2 {
			return
		}
		flag := c.Args[1].Lit()
		if len(flag) < 2 || flag[0] != '-' || strings.Trim(flag[1:], "neE") != "" || v.dialect == "dash" && flag == "-n" {
			return
		}
		v.notInSh(c.Args[1], "flags for echo", ": use printf")
	})
})

var sc3040 = posix("SC3040", "set -o that sh does not know", func(v *view) {
	for _, c := range v.Commands {
		if c.Name != "set" {
			continue
		}
		for i, a := range c.Args {
			if i > 0 && strings.HasSuffix(c.Args[i-1].Text, "o") && strings.ContainsAny(c.Args[i-1].Text[:1], "-+") && !slices.Contains([]string{
				"allexport", "errexit", "ignoreeof", "monitor", "noclobber", "noexec", "noglob", "nolog", "notify", "nounset", "verbose", "vi", "xtrace",
			}, a.Text) {
				v.p.Report(a.Range, "sh has no set -o %s; or set SHELL to bash", a.Text)
			}
		}
	}
})

var sc3043 = posix("SC3043", "local in sh", func(v *view) {
	if v.dialect == "dash" {
		return
	}
	each(v, func(_ int, n *syntax.DeclClause) {
		if n.Variant.Value == "local" {
			v.notInSh(n, "local", "")
		}
	})
})

var sc3044 = posix("SC3044", "a builtin that sh does not have", func(v *view) {
	each(v, func(_ int, n *syntax.DeclClause) {
		if n.Variant.Value == "declare" || n.Variant.Value == "typeset" {
			v.notInSh(n, n.Variant.Value, "")
		}
	})
	for _, c := range v.Commands {
		switch c.Name {
		case "shopt", "pushd", "popd", "dirs", "disown", "mapfile", "readarray", "suspend", "caller", "compgen", "complete", "enable", "let", "bind":
			v.p.Report(c.Range, "sh has no %s; or set SHELL to bash", c.Name)
		}
	}
})

var sc3046 = posix("SC3046", "source in sh", func(v *view) {
	for _, c := range v.Commands {
		if c.Name == "source" {
			v.p.Report(c.Range, "sh has no source: write a dot; or set SHELL to bash")
		}
	}
})

var sc3054 = posix("SC3054", "elements of arrays in sh", func(v *view) {
	each(v, func(_ int, n *syntax.ParamExp) {
		if n.Index != nil {
			v.notInSh(n, "arrays", "")
		}
	})
})

var sc3057 = posix("SC3057", "parts of strings in sh", func(v *view) {
	each(v, func(_ int, n *syntax.ParamExp) {
		if n.Slice != nil {
			v.notInSh(n, "${name:from:length}", ": use cut, or # and %")
		}
	})
})

var sc3060 = posix("SC3060", "replacement in strings in sh", func(v *view) {
	each(v, func(_ int, n *syntax.ParamExp) {
		if n.Repl != nil {
			v.notInSh(n, "${name/from/to}", ": use sed")
		}
	})
})
