package script

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

// A view is one script as a rule sees it.
type view struct {
	*shell.Script
	p       *lint.Pass
	dialect string          // sh, bash, dash, ksh, zsh
	env     map[string]bool // set by the Dockerfile
}

// rule makes a Rule of a function over scripts.
func rule(code string, level lint.Level, title string, check func(*view)) lint.Rule {
	return lint.Rule{Code: code, Level: level, Title: title, Check: func(p *lint.Pass) {
		p.Runs(func(in *dockerfile.Instruction, s *shell.Script) {
			if d := dialect(p.Shell(in.Top()), s); d != "" && !s.Exec {
				check(&view{Script: s, p: p, dialect: d, env: environment(p, in)})
			}
		})
	}}
}

// dialect is the language of a script; none if it is not one we read.
func dialect(sh string, s *shell.Script) string {
	if line, ok := strings.CutPrefix(s.Text.String(), "#!"); ok {
		sh, _, _ = strings.Cut(line, "\n")
		sh = strings.TrimPrefix(strings.TrimSpace(sh), "/usr/bin/env ")
	}
	words := strings.Fields(sh)
	if len(words) == 0 {
		return ""
	}
	name := words[0][strings.LastIndexAny(words[0], `/\`)+1:]
	switch name {
	case "sh", "bash", "dash", "ksh", "zsh":
		return name
	case "ash", "busybox":
		return "dash"
	}
	return ""
}

// environment are the names that the file sets before an instruction.
func environment(p *lint.Pass, in *dockerfile.Instruction) map[string]bool {
	out := map[string]bool{}
	for s := in.Stage; s != nil; s = s.Base {
		for _, i := range s.Instructions {
			if i == in.Top() {
				break
			}
			if i.Name == "ARG" || i.Name == "ENV" {
				for _, kv := range i.Pairs() {
					out[kv.Key] = true
				}
			}
		}
	}
	for _, proxy := range []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY"} {
		out[proxy], out[strings.ToLower(proxy)] = true, true
	}
	return out
}

func (v *view) report(n syntax.Node, format string, args ...any) {
	v.p.Report(v.Range(n), format, args...)
}

// each calls fn for the nodes of one type.
func each[T syntax.Node](v *view, fn func(i int, n T)) {
	for i := range v.Nodes {
		if n, ok := v.Nodes[i].Node.(T); ok {
			fn(i, n)
		}
	}
}

// parent is the node around node i; nil for the outermost.
func (v *view) parent(i int) syntax.Node {
	if p := v.Nodes[i].Parent; p >= 0 {
		return v.Nodes[p].Node
	}
	return nil
}

// up is the number of the node around node i, or -1.
func (v *view) up(i int) int { return v.Nodes[i].Parent }

// commandOf is the call that word i is a part of, and which word of it; nil if
// the word stands elsewhere.
func (v *view) commandOf(i int) (*syntax.CallExpr, int) {
	w, ok := v.Nodes[i].Node.(*syntax.Word)
	call, isCall := v.parent(i).(*syntax.CallExpr)
	if !ok || !isCall {
		return nil, 0
	}
	for n, a := range call.Args {
		if a == w {
			return call, n
		}
	}
	return nil, 0
}

// name is what a call calls.
func (v *view) name(c *syntax.CallExpr) string {
	if len(c.Args) == 0 {
		return ""
	}
	return v.Literal(c.Args[0])
}

// words are the arguments of a call as text.
func (v *view) words(c *syntax.CallExpr) []string {
	out := make([]string, len(c.Args))
	for i, a := range c.Args {
		out[i] = v.Literal(a)
	}
	return out
}

// callOf is the call that a statement is, or nil.
func callOf(s *syntax.Stmt) *syntax.CallExpr {
	if s == nil {
		return nil
	}
	c, _ := s.Cmd.(*syntax.CallExpr)
	return c
}

// inQuotes says whether node i stands in double quotes, and not in a command
// that is substituted within them.
func (v *view) inQuotes(i int) bool {
	quoted := false
	v.Up(i, func(_ int, n syntax.Node) bool {
		switch n.(type) {
		case *syntax.DblQuoted:
			quoted = true
			return false
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.Stmt:
			return false
		}
		return true
	})
	return quoted
}
