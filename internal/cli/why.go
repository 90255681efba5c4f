package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/build/history"
	"github.com/mica-build/mica/internal/ui/format"
)

// newWhyCmd is `mica why` and `mica builds why`.
func newWhyCmd(a *app) *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use:   "why [OPTIONS] [BUILD [STEP]]",
		Short: "Say why the steps of a build ran",
		Long: `Say why the steps of a build ran instead of coming from the cache: the first
input of each that differs from the last build of the same target.

Without a BUILD it is the latest. STEP is a step's number in 'mica builds show',
or words of its name.`,
		Args:              args(0, 2),
		ValidArgsFunction: a.completeBuilds,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWhy(a, spec, args)
		},
	}
	cmd.Flags().StringVar(&spec, "format", "", formatHelp)
	return cmd
}

func runWhy(a *app, spec string, args []string) error {
	h, err := a.history()
	if err != nil {
		return err
	}
	b, err := h.Build(first(args))
	if err != nil {
		return err
	}
	steps, err := h.Steps(b)
	if err != nil {
		return err
	}
	list, err := h.Why(b, steps)
	if err != nil {
		return err
	}
	if len(args) == 2 {
		n, err := h.FindStep(b, args[1])
		if err != nil {
			return err
		}
		list = only(list, n)
	}
	if spec != "" {
		return format.Rows(a.stdout, spec, "{{.Step}}\t{{.Cause}}\t{{.Name}}", whyRows(list))
	}
	switch {
	case len(list) == 0 && len(args) == 2:
		fmt.Fprintln(a.stdout, "It did not run: it came from the cache.")
	case len(list) == 0:
		fmt.Fprintln(a.stdout, "Nothing ran: "+nothingRan(b))
	}
	for _, x := range list {
		printWhy(a.stdout, x)
	}
	return nil
}

func only(list []history.Explanation, n int) []history.Explanation {
	for i, x := range list {
		if x.Step.Number == n {
			return list[i : i+1]
		}
	}
	return nil
}

func nothingRan(b *history.Build) string {
	if b.State == history.Failed {
		line, _, _ := strings.Cut(b.Error, "\n")
		return strings.TrimSuffix("the build "+string(b.State)+": "+line, ": ")
	}
	if b.Same != "" {
		return "everything was as in build " + string(b.Same) + "."
	}
	return "every step came from the cache."
}

// printWhy prints one explanation: the step, the cause, what else differs.
func printWhy(w io.Writer, x history.Explanation) {
	fmt.Fprintf(w, "#%d %s\n", x.Step.Number, x.Step.Title())
	fmt.Fprintf(w, "   %s\n", x.Cause)
	printFiles(w, x.Cause)
	for _, c := range x.Others {
		fmt.Fprintf(w, "   also: %s\n", c)
	}
}

// printFiles lists the files of a cause that is about several.
func printFiles(w io.Writer, c *history.Cause) {
	const most = 10
	if c == nil || len(c.Files) < 2 {
		return
	}
	for i, f := range c.Files {
		if i == most {
			fmt.Fprintf(w, "     … and %d more\n", len(c.Files)-most)
			return
		}
		fmt.Fprintf(w, "     %s\n", f)
	}
}

// A whyRow is one explanation for --format.
type whyRow struct {
	Cause string
	Kind  string
	Name  string
	Since string
	Step  string
	What  string
}

func whyRows(list []history.Explanation) []whyRow {
	var rows []whyRow
	for _, x := range list {
		r := whyRow{Cause: x.Cause.String(), Name: x.Step.Title(), Since: string(x.Since), Step: fmt.Sprint(x.Step.Number)}
		if x.Cause != nil {
			r.Kind, r.What = string(x.Cause.Kind), x.Cause.What
		}
		rows = append(rows, r)
	}
	return rows
}
