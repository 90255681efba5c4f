package shell

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint/dockerfile"
)

// A Command is one call of a program or builtin.
type Command struct {
	Name  string // as written; behind command, builtin, exec and busybox, what they call
	Args  []Arg  // all that follows the first word
	Range dockerfile.Range
	Call  *syntax.CallExpr // nil for declarations such as export, and for exec forms
	Env   []string         // names assigned in front, as in A=1 cmd
}

// An Arg is one argument: quotes and escapes taken off, $x and ${x} as ${x}.
type Arg struct {
	Text  string
	Range dockerfile.Range
}

func (s *Script) command(n *syntax.CallExpr) *Command {
	if len(n.Args) == 0 {
		return nil
	}
	c := &Command{Name: s.Literal(n.Args[0]), Range: s.Range(n), Call: n}
	if c.Name == "[" || c.Name == "" {
		return nil // a condition
	}
	for _, a := range n.Assigns {
		if a.Name != nil {
			c.Env = append(c.Env, a.Name.Value)
		}
	}
	for _, w := range n.Args[1:] {
		c.Args = append(c.Args, Arg{s.Literal(w), s.Range(w)})
	}
	switch c.Name {
	case "command", "builtin", "exec", "busybox":
		if len(c.Args) > 0 && !strings.HasPrefix(c.Args[0].Text, "-") {
			c.Name, c.Args = c.Args[0].Text, c.Args[1:]
		}
	}
	return c
}

func (s *Script) declaration(n *syntax.DeclClause) *Command {
	c := &Command{Name: n.Variant.Value, Range: s.Range(n)}
	for _, a := range n.Args {
		c.Args = append(c.Args, Arg{s.Source(a), s.Range(a)})
	}
	return c
}

// Literal is what a word stands for as far as it can be told without running it.
func (s *Script) Literal(w *syntax.Word) string {
	if l := w.Lit(); l != "" && !strings.Contains(l, `\`) {
		return l
	}
	var b strings.Builder
	for _, p := range w.Parts {
		s.part(&b, p, false)
	}
	return b.String()
}

func (s *Script) part(b *strings.Builder, p syntax.WordPart, quoted bool) {
	switch p := p.(type) {
	case *syntax.Lit:
		unescape(b, p.Value, quoted)
	case *syntax.SglQuoted:
		b.WriteString(p.Value)
	case *syntax.DblQuoted:
		for _, q := range p.Parts {
			s.part(b, q, true)
		}
	case *syntax.ParamExp:
		if p.Short && p.Param != nil {
			b.WriteString("${" + p.Param.Value + "}")
			return
		}
		b.WriteString(s.Source(p))
	case *syntax.CmdSubst:
		b.WriteString("${" + strings.TrimSuffix(strings.TrimPrefix(s.Source(p), "$("), ")") + "}")
	default:
		b.WriteString(s.Source(p))
	}
}

// unescape takes the backslashes off that the shell would.
func unescape(b *strings.Builder, lit string, quoted bool) {
	for i := 0; i < len(lit); i++ {
		if lit[i] == '\\' && i+1 < len(lit) && (!quoted || strings.IndexByte("\\$`\"\n", lit[i+1]) >= 0) {
			i++
			if lit[i] == '\n' {
				continue
			}
		}
		b.WriteByte(lit[i])
	}
}

// Is says whether the command is called name.
func (c *Command) Is(names ...string) bool { return slices.Contains(names, c.Name) }

// Has says whether the command has one of these words as an argument.
func (c *Command) Has(words ...string) bool {
	return slices.ContainsFunc(c.Args, func(a Arg) bool { return slices.Contains(words, a.Text) })
}

// HasPrefix says whether an argument begins so.
func (c *Command) HasPrefix(prefix string) bool {
	return slices.ContainsFunc(c.Args, func(a Arg) bool { return strings.HasPrefix(a.Text, prefix) })
}

// Calls says whether the command is a call of name with one of the sub-commands
// among its arguments.
func (c *Command) Calls(name string, words ...string) bool { return c.Name == name && c.Has(words...) }

// Flags are the flags of the command: --long without its value, and each letter
// of -abc.
func (c *Command) Flags() []string {
	var out []string
	for _, a := range c.Args {
		out = append(out, flagsOf(a.Text)...)
	}
	return out
}

// flagsOf are the flags in one argument.
func flagsOf(arg string) []string {
	switch {
	case arg == "-" || arg == "--" || !strings.HasPrefix(arg, "-"):
		return nil
	case strings.HasPrefix(arg, "--"):
		name, _, _ := strings.Cut(arg[2:], "=")
		return []string{name}
	}
	return strings.Split(arg[1:], "")
}

// Flag counts how often a flag is given.
func (c *Command) Flag(names ...string) int {
	n := 0
	for _, f := range c.Flags() {
		if slices.Contains(names, f) {
			n++
		}
	}
	return n
}

// FlagValue is the value of a flag: what follows = or the next argument.
func (c *Command) FlagValue(name string) (string, bool) {
	for i, a := range c.Args {
		if !slices.Contains(flagsOf(a.Text), name) {
			continue
		}
		if strings.HasPrefix(a.Text, "--") {
			if _, v, ok := strings.Cut(a.Text, "="); ok {
				return v, true
			}
		}
		if i+1 < len(c.Args) {
			return c.Args[i+1].Text, true
		}
	}
	return "", false
}

// Operands are the arguments that are no flags, nor the values of the flags
// named, which take the next word unless they have =.
func (c *Command) Operands(valued ...string) []Arg {
	var out []Arg
	for i := 0; i < len(c.Args); i++ {
		a := c.Args[i]
		flags := flagsOf(a.Text)
		if len(flags) == 0 {
			if a.Text != "--" && a.Text != "-" {
				out = append(out, a)
			}
			continue
		}
		takes := slices.ContainsFunc(flags, func(f string) bool { return slices.Contains(valued, f) })
		if takes && !strings.Contains(a.Text, "=") {
			i++
		}
	}
	return out
}
