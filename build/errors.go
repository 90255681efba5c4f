package build

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/moby/buildkit/solver/errdefs"
)

// A SourceError is an error that lines of a Dockerfile caused.
type SourceError struct {
	File    string
	Start   int // first line, from 1
	End     int // last line
	Snippet []SourceLine
	Err     error
}

// A SourceLine is one line of a snippet; Marked ones caused the error.
type SourceLine struct {
	Number int
	Text   string
	Marked bool
}

// snippetMargin is how many lines are shown before and after the marked ones.
const snippetMargin = 2

func newSourceError(err error, src *errdefs.Source) error {
	e := &SourceError{Err: err, File: src.Info.GetFilename()}
	lines := strings.Split(string(bytes.TrimRight(src.Info.GetData(), "\n")), "\n")
	marked := map[int]bool{}
	for _, r := range src.Ranges {
		from, to := int(r.GetStart().GetLine()), int(r.GetEnd().GetLine())
		if from <= 0 {
			continue
		}
		if to < from {
			to = from
		}
		if e.Start == 0 || from < e.Start {
			e.Start = from
		}
		e.End = max(e.End, to)
		for l := from; l <= min(to, len(lines)); l++ {
			marked[l] = true
		}
	}
	if e.Start == 0 {
		return err
	}
	for i, text := range lines {
		n := i + 1
		if n >= e.Start-snippetMargin && n <= e.End+snippetMargin {
			e.Snippet = append(e.Snippet, SourceLine{Number: n, Text: strings.TrimRight(text, "\r"), Marked: marked[n]})
		}
	}
	return e
}

// Unwrap gives the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// Error is the place, the snippet and the cause.
func (e *SourceError) Error() string {
	var b strings.Builder
	if e.End > e.Start {
		fmt.Fprintf(&b, "%s:%d-%d\n", e.File, e.Start, e.End)
	} else {
		fmt.Fprintf(&b, "%s:%d\n", e.File, e.Start)
	}
	rule := strings.Repeat("-", 20) + "\n"
	b.WriteString(rule)
	for _, l := range e.Snippet {
		mark := "   "
		if l.Marked {
			mark = ">>>"
		}
		fmt.Fprintf(&b, "%4d | %s %s\n", l.Number, mark, l.Text)
	}
	b.WriteString(rule)
	b.WriteString(e.Err.Error())
	return b.String()
}
