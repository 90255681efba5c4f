package shell

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/mica-build/mica/lint/dockerfile"
)

// A Script is the text of one shell-form RUN, or of a heredoc that is run.
type Script struct {
	Text     dockerfile.Text
	File     *syntax.File // what was understood; never nil
	Err      error        // a syntax.ParseError, if not all was
	Commands []*Command   // in the order of the text, those in substitutions too
	Pipes    []dockerfile.Range
	Nodes    []Node // of File, in the order of the text
	// Exec is set if this is the JSON form: its words, not a script.
	Exec bool
}

// Parse reads a script.
func Parse(text dockerfile.Text) *Script {
	s := &Script{Text: text, File: &syntax.File{}}
	p := syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.KeepComments(true))
	// Statement by statement, to keep what stands before an error.
	for st, err := range p.StmtsSeq(strings.NewReader(text.String())) {
		if err != nil {
			s.Err = err
			break
		}
		s.File.Stmts = append(s.File.Stmts, st)
	}
	s.collect()
	return s
}

// Words makes a Script of the words of an exec form, which no shell reads.
func Words(text dockerfile.Text, words []string) *Script {
	s := &Script{Text: text, File: &syntax.File{}, Exec: true}
	if len(words) == 0 {
		return s
	}
	c := &Command{Name: words[0], Range: text.Range()}
	for _, w := range words[1:] {
		c.Args = append(c.Args, Arg{Text: w, Range: text.Range()})
	}
	s.Commands = []*Command{c}
	return s
}

// Range is the place of a node in the Dockerfile.
func (s *Script) Range(n syntax.Node) dockerfile.Range {
	i, j := int(n.Pos().Offset()), int(n.End().Offset())
	i = min(max(i, 0), s.Text.Len())
	return s.Text.RangeOf(i, min(max(i, j), s.Text.Len()))
}

// Source is the text of a node as it stands in the script.
func (s *Script) Source(n syntax.Node) string {
	i, j := int(n.Pos().Offset()), int(n.End().Offset())
	if i < 0 || j > s.Text.Len() || i > j {
		return ""
	}
	return s.Text.String()[i:j]
}

func (s *Script) collect() {
	s.Nodes = flatten(s.File)
	for _, node := range s.Nodes {
		switch n := node.Node.(type) {
		case *syntax.CallExpr:
			if c := s.command(n); c != nil {
				s.Commands = append(s.Commands, c)
			}
		case *syntax.DeclClause:
			s.Commands = append(s.Commands, s.declaration(n))
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				at := int(n.OpPos.Offset())
				s.Pipes = append(s.Pipes, s.Text.RangeOf(at, min(at+len(n.Op.String()), s.Text.Len())))
			}
		}
	}
}

// Uses says whether the script calls one of the programs.
func (s *Script) Uses(names ...string) bool { return s.Find(names...) != nil }

// Find is the first call of one of the programs, or nil.
func (s *Script) Find(names ...string) *Command {
	return s.First(func(c *Command) bool {
		for _, n := range names {
			if c.Name == n {
				return true
			}
		}
		return false
	})
}

// First is the first command that is as wanted, or nil.
func (s *Script) First(is func(*Command) bool) *Command {
	if i := s.Index(is); i >= 0 {
		return s.Commands[i]
	}
	return nil
}

// Index is the number of the first command that is as wanted, or -1.
func (s *Script) Index(is func(*Command) bool) int {
	for i, c := range s.Commands {
		if is(c) {
			return i
		}
	}
	return -1
}
