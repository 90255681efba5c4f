package dockerfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/mica-build/mica/errs"
)

// MaxSize is the largest Dockerfile that is looked at, in bytes; the builder's
// limit is the same.
const MaxSize = 5 << 20

// A ParseError says where a file stops being a Dockerfile.
type ParseError struct {
	Range Range
	Err   error
}

// Error has no position: a finding has.
func (e *ParseError) Error() string { return e.Err.Error() }

// Unwrap is the parser's error.
func (e *ParseError) Unwrap() error { return e.Err }

// Parse reads a Dockerfile called name. A file that the builder's parser cannot
// read at all is a *ParseError; an instruction it would not take has its Err set.
func Parse(name string, raw []byte) (*File, error) {
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%s: more than %d bytes: %w", name, MaxSize, errs.ErrTooLarge)
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	f := &File{Name: name, Lines: lines(raw), Escape: '\\', Directives: map[string]Text{}}
	res, err := parser.Parse(bytes.NewReader(raw))
	if err != nil {
		return f, f.parseError(err)
	}
	f.Escape = byte(res.EscapeToken)
	f.directives()
	next := 1
	for _, n := range res.AST.Children {
		f.comments(next, n.StartLine)
		f.add(n)
		next = n.EndLine + 1
	}
	f.comments(next, len(f.Lines)+1)
	return f, nil
}

func lines(raw []byte) []string {
	all := strings.Split(string(raw), "\n")
	for i, l := range all {
		all[i] = strings.TrimRight(l, "\r")
	}
	if n := len(all); n > 1 && all[n-1] == "" {
		all = all[:n-1]
	}
	return all
}

// parseError finds the line that the parser's error speaks of.
func (f *File) parseError(err error) error {
	at := Pos{1, 1}
	var located *parser.LocationError
	if errors.As(err, &located) && len(located.Locations) > 0 && len(located.Locations[0]) > 0 {
		at.Line = max(1, located.Locations[0][0].Start.Line)
	}
	end := Pos{at.Line, 1}
	if at.Line <= len(f.Lines) {
		end.Column = len(f.Lines[at.Line-1]) + 1
	}
	return &ParseError{Range{at, end}, err}
}

// line is the text of one line, from column from (0-based) on.
func (f *File) line(n, from int) Text {
	s := f.Lines[n-1]
	return Text{s: s[from:], pieces: []piece{{0, Pos{n, from + 1}}}}
}

// directives reads the parser directives of the head.
func (f *File) directives() {
	for i := range f.Lines {
		t := f.line(i+1, 0).Trim()
		body, ok := strings.CutPrefix(t.String(), "#")
		key, _, has := strings.Cut(body, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !ok || !has || key != "syntax" && key != "escape" && key != "check" {
			return
		}
		f.head = i + 1
		f.Directives[key] = t.Slice(strings.IndexByte(t.String(), '=')+1, t.Len()).Trim()
	}
}

// comments takes the comment lines from line first to before line end.
func (f *File) comments(first, end int) {
	for n := max(first, f.head+1); n < end && n <= len(f.Lines); n++ {
		if t, ok := f.comment(n); ok {
			f.Comments = append(f.Comments, Comment{Text: t})
		}
	}
}

func (f *File) comment(n int) (Text, bool) {
	t := f.line(n, 0).Trim()
	if !strings.HasPrefix(t.String(), "#") {
		return Text{}, false
	}
	return t.Slice(1, t.Len()).Trim(), true
}

// add makes an instruction of a node, and the stage it belongs to.
func (f *File) add(n *parser.Node) {
	above := len(f.Comments)
	text, last := f.join(n)
	in := f.instruction(text, n)
	in.Heredocs = f.heredocs(n, in, last+1)
	in.Range = text.Range()
	if n.EndLine > last && n.EndLine <= len(f.Lines) {
		in.Range.End = Pos{n.EndLine, len(f.Lines[n.EndLine-1]) + 1}
	}
	// Its own warnings are ours to give; without a linter it takes comments for nil's.
	quiet := linter.New(&linter.Config{SkipAll: true})
	if _, err := instructions.ParseInstructionWithLinter(n, quiet); err != nil {
		in.Err = err
	}
	for i := range f.Comments {
		if c := &f.Comments[i]; c.Before == nil {
			c.Before, c.Inside = in, i >= above
			if !c.Inside {
				in.Comments = append(in.Comments, *c)
			}
		}
	}
	f.stage(in)
	f.Instructions = append(f.Instructions, in)
}

// join puts the lines of an instruction together as the parser does, and says
// which was the last of them; heredocs follow.
func (f *File) join(n *parser.Node) (Text, int) {
	var b strings.Builder
	var t Text
	for i := n.StartLine; i <= n.EndLine && i <= len(f.Lines); i++ {
		line, from := f.Lines[i-1], 0
		trimmed := strings.TrimLeft(line, blanks)
		if i == n.StartLine {
			from = len(line) - len(trimmed)
		} else if strings.HasPrefix(trimmed, "#") {
			c, _ := f.comment(i)
			f.Comments = append(f.Comments, Comment{Text: c})
			continue
		} else if trimmed == "" {
			f.EmptyContinuations = append(f.EmptyContinuations, Range{Pos{i, 1}, Pos{i, len(line) + 1}})
			continue
		}
		body, more := f.continued(line[from:])
		t.pieces = append(t.pieces, piece{b.Len(), Pos{i, from + 1}})
		b.WriteString(body)
		if !more {
			t.s = b.String()
			return t, i
		}
	}
	t.s = b.String()
	return t, n.EndLine
}

// continued takes the continuation character off a line. Two of them are none.
func (f *File) continued(line string) (string, bool) {
	t := strings.TrimRight(line, " \t")
	if !strings.HasSuffix(t, string(f.Escape)) {
		return line, false
	}
	t = t[:len(t)-1]
	if strings.HasSuffix(t, string(f.Escape)) {
		return line, false
	}
	return t, true
}

// instruction reads keyword, flags and arguments of text; n is the parser's
// reading of it.
func (f *File) instruction(text Text, n *parser.Node) *Instruction {
	in := &Instruction{escape: f.Escape}
	rest := text.Trim()
	in.Keyword = rest.Slice(0, wordEnd(rest.String()))
	in.Name = strings.ToUpper(in.Keyword.String())
	rest = rest.Slice(in.Keyword.Len(), rest.Len()).Trim()
	rest = in.flags(rest)
	in.Args, in.Range = rest, text.Range()
	in.exec()
	switch in.Name {
	case "ONBUILD", "HEALTHCHECK":
		if in.Name == "HEALTHCHECK" && !strings.HasPrefix(strings.ToUpper(rest.String()), "CMD") || rest.Len() == 0 {
			break
		}
		var child *parser.Node
		if n != nil && n.Next != nil && len(n.Next.Children) > 0 {
			child = n.Next.Children[0]
		}
		in.Inner = f.instruction(rest, child)
		in.Inner.Outer = in
	}
	return in
}

func wordEnd(s string) int {
	if i := strings.IndexAny(s, blanks); i >= 0 {
		return i
	}
	return len(s)
}

// flags takes the flags off the front of rest.
func (in *Instruction) flags(rest Text) Text {
	for strings.HasPrefix(rest.String(), "--") {
		w := rest.Words(in.escape)[0]
		if w.String() == "--" {
			return rest.Slice(2, rest.Len()).Trim()
		}
		name, value, _ := strings.Cut(w.String()[2:], "=")
		if strings.ContainsAny(value, `"'`) {
			value = w.Slice(w.Len()-len(value), w.Len()).Unquote(in.escape)
		}
		in.Flags = append(in.Flags, Flag{Name: strings.ToLower(name), Value: value, Text: w})
		rest = rest.Slice(w.Len(), rest.Len()).Trim()
	}
	return rest
}

// exec reads the JSON form of the arguments, where there is one.
func (in *Instruction) exec() {
	switch in.Name {
	case "RUN", "CMD", "ENTRYPOINT", "SHELL", "COPY", "ADD", "VOLUME":
	default:
		return
	}
	if !strings.HasPrefix(in.Args.String(), "[") {
		return
	}
	var list []string
	if json.Unmarshal([]byte(in.Args.String()), &list) == nil {
		in.Exec, in.IsExec = list, true
	}
}

// heredocs finds the words and the contents of an instruction's heredocs; the
// first content begins on line next.
func (f *File) heredocs(n *parser.Node, in *Instruction, next int) []Heredoc {
	from := 0
	out := make([]Heredoc, 0, len(n.Heredocs))
	for _, h := range n.Heredocs {
		d := Heredoc{Name: h.Name, Expand: h.Expand}
		if i := strings.Index(in.Args.String()[from:], "<<"); i >= 0 {
			i += from
			from = i + 2 + wordEnd(in.Args.String()[i+2:])
			d.Word = in.Args.Slice(i, from)
		}
		d.Content, next = f.document(h, next)
		out = append(out, d)
	}
	if in.Inner != nil {
		in.Inner.Heredocs = out
	}
	return out
}

// document is the content of one heredoc from line n on, and the line behind its end.
func (f *File) document(h parser.Heredoc, n int) (Text, int) {
	var b strings.Builder
	var t Text
	for ; n <= len(f.Lines); n++ {
		line := f.Lines[n-1]
		cut := 0
		if h.Chomp {
			cut = len(line) - len(strings.TrimLeft(line, "\t"))
		}
		if line[cut:] == h.Name {
			n++
			break
		}
		t.pieces = append(t.pieces, piece{b.Len(), Pos{n, cut + 1}})
		b.WriteString(line[cut:])
		b.WriteByte('\n')
	}
	t.s = b.String()
	return t, n
}
