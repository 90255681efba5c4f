package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/store"
)

type checkOptions struct {
	repair, quick bool
	format        string
}

func newCheckCmd(a *app) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check [OPTIONS]",
		Short: "Verify everything in the store, and repair it",
		Long: `Verify every blob, name, layer, cache record, lease and index of the store, and
say what is wrong, object by object. Other commands may run meanwhile.

With --repair what is damaged goes to the trash and what points nowhere is
removed. Nothing that is whole is lost; where bytes are gone it says which
images to pull or build again.

The exit code is 1 if something is wrong and was not repaired. What a process
that was killed left behind is listed, but is nothing wrong.`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runCheck(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.repair, "repair", false, "repair what can be, without loss")
	f.BoolVar(&o.quick, "quick", false, "do not read the content of blobs and layers")
	f.StringVar(&o.format, "format", "", `"json" (an object on each line), or a Go template for each problem`)
	return cmd
}

func runCheck(ctx context.Context, a *app, o checkOptions) error {
	s, err := a.store()
	if err != nil {
		return err
	}
	so := store.CheckOptions{Quick: o.quick, Repair: o.repair}
	if a.debug {
		so.Progress = func(object string) { fmt.Fprintln(a.stderr, object) }
	}
	list, err := s.Check(ctx, so)
	if err != nil {
		return err
	}
	if o.format != "" {
		if err := format.Rows(a.stdout, o.format, "", list); err != nil {
			return err
		}
	} else {
		printProblems(a.stdout, list)
	}
	open, wrong := 0, 0
	for _, p := range list {
		if !p.Leftover {
			wrong++
			if !p.Repaired {
				open++
			}
		}
	}
	if o.format == "" {
		printVerdict(a.stdout, list, wrong, open)
	}
	if open > 0 {
		return withCode(1, nil)
	}
	return nil
}

func printProblems(w io.Writer, list []store.Problem) {
	for _, p := range list {
		fmt.Fprintf(w, "%s %s %s\n", p.Kind, p.Object, p.What)
		if len(p.Images) > 0 && p.Kind != "name" {
			fmt.Fprintf(w, "  concerns:  %s\n", strings.Join(p.Images, ", "))
		}
		switch {
		case p.Repair == "":
		case p.Repaired:
			fmt.Fprintf(w, "  repaired:  %s\n", p.Repair)
		case p.Leftover:
			fmt.Fprintf(w, "  next prune: %s\n", p.Repair)
		default:
			fmt.Fprintf(w, "  --repair:  %s\n", p.Repair)
		}
		if p.Advice != "" {
			fmt.Fprintf(w, "  to do:     %s\n", p.Advice)
		}
	}
}

func printVerdict(w io.Writer, list []store.Problem, wrong, open int) {
	left := len(list) - wrong
	switch {
	case wrong == 0 && left == 0:
		fmt.Fprintln(w, "The store is sound.")
	case wrong == 0:
		fmt.Fprintf(w, "The store is sound. Leftovers of ended processes: %d.\n", left)
	case open == 0:
		fmt.Fprintf(w, "Problems: %d, all repaired. Leftovers: %d.\n", wrong, left)
	default:
		fmt.Fprintf(w, "Problems: %d, of them not repaired: %d. Leftovers: %d.\n", wrong, open, left)
	}
}
