package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/errs"
)

type rmiOptions struct {
	force, noPrune bool
}

func newRmiCmd(a *app, use string, aliases ...string) *cobra.Command {
	var o rmiOptions
	cmd := &cobra.Command{
		Use:               use + " [OPTIONS] IMAGE [IMAGE...]",
		Aliases:           aliases,
		Short:             "Remove images, or names of images",
		ValidArgsFunction: a.completeImages,
		Args:              args(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runRmi(cmd.Context(), a, o, args)
		},
	}
	cmd.Flags().BoolVarP(&o.force, "force", "f", false, "remove an image with all its names; names that are not there are no error")
	cmd.Flags().BoolVar(&o.noPrune, "no-prune", false, "leave the bytes for the next prune")
	return cmd
}

func runRmi(ctx context.Context, a *app, o rmiOptions, names []string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	var failed, missing failures
	deleted := false
	for _, n := range names {
		done, err := e.Remove(ctx, n, o.force)
		printRemoved(a.stdout, "Untagged: ", "Deleted: ", done)
		for _, d := range done {
			deleted = deleted || d.Deleted != ""
		}
		switch {
		case errors.Is(err, errs.ErrNotFound) && o.force:
			missing = append(missing, err)
		case err != nil:
			failed = append(failed, err)
		}
	}
	if len(missing) > 0 {
		printError(a.stderr, missing)
	}
	if deleted && !o.noPrune {
		if _, err := e.Collect(ctx); err != nil {
			failed = append(failed, err)
		}
	}
	return failed.err()
}

func printRemoved(w io.Writer, untagged, deleted string, list []engine.Removed) {
	for _, r := range list {
		if r.Untagged != "" {
			fmt.Fprintln(w, untagged+r.Untagged)
		} else {
			fmt.Fprintln(w, deleted+r.Deleted)
		}
	}
}
