package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/mica-build/mica/lint"
)

// tty is a line for each finding, the source line below it and a caret.
func tty(w io.Writer, findings []lint.Finding, o Options) error {
	b := bufio.NewWriter(w)
	for _, f := range findings {
		fmt.Fprintf(b, "%s:%d %s %s: %s\n", f.File, f.Range.Start.Line, f.Code, colored(f.Level, o), message(f))
		if o.Lines != nil {
			showLine(b, f, o)
		}
	}
	return b.Flush()
}

// showLine shows the line of a finding and marks its range, up to the line's end.
func showLine(b *bufio.Writer, f lint.Finding, o Options) {
	lines := o.Lines(f.File)
	n := f.Range.Start.Line
	if n < 1 || n > len(lines) {
		return
	}
	line := lines[n-1]
	from := min(max(f.Range.Start.Column-1, 0), len(line))
	to := len(strings.TrimRight(line, " \t\\"))
	if f.Range.End.Line == n {
		to = min(f.Range.End.Column-1, len(line))
	}
	// Tabs stay tabs, so that the caret is below its character.
	indent := strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, line[:from])
	marks := "^" + strings.Repeat("~", max(len([]rune(line[from:max(to, from)]))-1, 0))
	if o.Color {
		marks = "\x1b[1;32m" + marks + "\x1b[0m"
	}
	fmt.Fprintf(b, "%6d | %s\n       | %s%s\n", n, line, indent, marks)
}

func colored(l lint.Level, o Options) string {
	codes := map[lint.Level]string{lint.Error: "1;31", lint.Warning: "1;33", lint.Info: "32", lint.Style: "36"}
	if !o.Color || codes[l] == "" {
		return l.String()
	}
	return "\x1b[" + codes[l] + "m" + l.String() + "\x1b[0m"
}

// gnu is what editors read. Source: https://www.gnu.org/prep/standards/html_node/Errors.html
func gnu(w io.Writer, findings []lint.Finding, o Options) error {
	b := bufio.NewWriter(w)
	for _, f := range findings {
		fmt.Fprintf(b, "%s:%s:%d:%d: %s %s: %s\n", o.Tool, f.File, f.Range.Start.Line, f.Range.Start.Column, f.Code, f.Level, message(f))
	}
	return b.Flush()
}
