package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/build"
	"github.com/mica-build/mica/internal/ui/format"
)

type contextLsOptions struct {
	file, why, format string
}

// newContextCmd is `mica context`.
func newContextCmd(a *app) *cobra.Command {
	return group("context", "Look at build contexts", newContextLsCmd(a))
}

func newContextLsCmd(a *app) *cobra.Command {
	var o contextLsOptions
	cmd := &cobra.Command{
		Use:   "ls [OPTIONS] [PATH]",
		Short: "List what a build context holds, the largest file first",
		Long: `List what a build context holds after .dockerignore, the largest file first.

--why says of one path whether it is in the context, and which line of which
ignore file decides that.`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := first(args)
			if dir == "" {
				dir = "."
			}
			return runContextLs(cmd.Context(), a, o, dir)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "file", "f", "", "the Dockerfile, whose own ignore file counts if it has one")
	f.StringVar(&o.why, "why", "", "say why this `path` is in the context or is not")
	f.StringVar(&o.format, "format", "", formatHelp)
	return cmd
}

func runContextLs(ctx context.Context, a *app, o contextLsOptions, dir string) error {
	l, err := build.ListContext(ctx, dir, o.file)
	if err != nil {
		return err
	}
	if o.why != "" {
		return printContextWhy(a, l, o.why)
	}
	rows := make([]contextRow, len(l.Files))
	for i, f := range l.Files {
		rows[i] = contextRow{Bytes: strconv.FormatInt(f.Bytes, 10), Path: f.Path, Size: format.Size(f.Bytes)}
	}
	if err := format.Rows(a.stdout, o.format, "{{.Size}}\t{{.Path}}", rows); err != nil || o.format != "" {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "Total:\t%s in %d files\n", format.Size(l.Bytes), len(l.Files))
	return err
}

// A contextRow is one file of `mica context ls`.
type contextRow struct {
	Bytes string
	Path  string
	Size  string
}

func printContextWhy(a *app, l *build.ContextList, path string) error {
	rel, excluded, rule, err := l.Why(path)
	if err != nil {
		return err
	}
	switch {
	case rule == nil && l.Ignore == nil:
		fmt.Fprintf(a.stdout, "%s is in the context: there is no .dockerignore\n", rel)
	case rule == nil:
		fmt.Fprintf(a.stdout, "%s is in the context: no line of %s is about it\n", rel, l.Ignore.Path)
	case excluded:
		fmt.Fprintf(a.stdout, "%s is excluded by %s:%d: %s\n", rel, l.Ignore.Path, rule.Line, rule.Text)
	default:
		fmt.Fprintf(a.stdout, "%s is in the context: included again by %s:%d: %s\n", rel, l.Ignore.Path, rule.Line, rule.Text)
	}
	return nil
}
