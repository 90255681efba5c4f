package progress

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/errdefs"
	"golang.org/x/term"
)

// Warnings prints what a finished build warned of: one line each, and with
// details what each means, where to read more and the lines it is about. Modes
// whose output is for programs print nothing.
func (d *Display) Warnings(list []client.VertexWarning, details bool) {
	if len(list) == 0 || d.mode == Quiet || d.mode == None || d.mode == RawJSON {
		return
	}
	var b strings.Builder
	head := "1 warning found"
	if len(list) > 1 {
		head = fmt.Sprintf("%d warnings found", len(list))
	}
	if !details {
		head += " (use --debug to expand)"
	}
	fmt.Fprintf(&b, "\n %s\n", d.yellow(head+":"))
	for i := range list {
		fmt.Fprintf(&b, " - %s\n", list[i].Short)
		if details {
			explain(&b, &list[i])
		}
	}
	_, _ = io.WriteString(d.out, b.String())
}

// explain prints the details of one warning.
func explain(b *strings.Builder, w *client.VertexWarning) {
	for _, line := range w.Detail {
		fmt.Fprintf(b, "%s\n", line)
	}
	if w.URL != "" {
		fmt.Fprintf(b, "More info: %s\n", w.URL)
	}
	if w.SourceInfo != nil && w.Range != nil {
		src := errdefs.Source{Info: w.SourceInfo, Ranges: w.Range}
		_ = src.Print(b)
	}
	b.WriteString("\n")
}

// yellow colours s on a terminal whose user did not object.
func (d *Display) yellow(s string) string {
	f, ok := d.out.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	return "\x1b[33m" + s + "\x1b[0m"
}
