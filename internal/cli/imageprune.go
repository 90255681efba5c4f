package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/internal/ui/format"
)

type imagePruneOptions struct {
	all, force, dryRun bool
	filter             []string
}

func newImagePruneCmd(a *app) *cobra.Command {
	var o imagePruneOptions
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove images that are not used",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runImagePrune(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "remove all images without a container, not only those without a name")
	f.BoolVarP(&o.force, "force", "f", false, "do not ask")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what would be removed")
	f.StringArrayVar(&o.filter, "filter", nil, `only images for which it holds: until, label, label!`)
	return cmd
}

func runImagePrune(ctx context.Context, a *app, o imagePruneOptions) error {
	f, err := pruneFilter(o.filter, time.Now())
	if err != nil {
		return err
	}
	if !o.force && !o.dryRun {
		question := "WARNING! This will remove all dangling images."
		if o.all {
			question = "WARNING! This will remove all images without at least one container associated to them."
		}
		if err := a.confirm(ctx, question); err != nil {
			return err
		}
	}
	reclaimed, err := pruneImages(ctx, a, engine.PruneOptions{All: o.all, Filter: f, DryRun: o.dryRun})
	if err != nil {
		return err
	}
	printReclaimed(a, o.dryRun, reclaimed)
	return nil
}

// pruneFilter reads the filters of prune commands.
func pruneFilter(list []string, now time.Time) (engine.Filter, error) {
	var f engine.Filter
	fs, err := parseFilters(list, "until", "label", "label!")
	if err != nil {
		return f, err
	}
	f.Labels, f.NotLabels = fs["label"], fs["label!"]
	f.Until, err = fs.time("until", now)
	return f, err
}

// pruneImages removes images and lists them.
func pruneImages(ctx context.Context, a *app, o engine.PruneOptions) (int64, error) {
	e, err := a.engine()
	if err != nil {
		return 0, err
	}
	done, reclaimed, err := e.Prune(ctx, o)
	if len(done) > 0 {
		if o.DryRun {
			fmt.Fprintln(a.stdout, "Would delete images:")
		} else {
			fmt.Fprintln(a.stdout, "Deleted Images:")
		}
		printRemoved(a.stdout, "untagged: ", "deleted: ", done)
		fmt.Fprintln(a.stdout)
	}
	return reclaimed, err
}

// printReclaimed is the last line of every prune.
func printReclaimed(a *app, dryRun bool, n int64) {
	if dryRun {
		fmt.Fprintln(a.stdout, "Would reclaim:", format.SizeExact(n))
		return
	}
	fmt.Fprintln(a.stdout, "Total reclaimed space:", format.SizeExact(n))
}
