package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
)

type systemPruneOptions struct {
	all, volumes, force, dryRun bool
	filter                      []string
}

func newSystemPruneCmd(a *app) *cobra.Command {
	var o systemPruneOptions
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove everything that is not used",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSystemPrune(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "remove all images without a container, not only those without a name, and the whole build cache")
	f.BoolVar(&o.volumes, "volumes", false, "remove anonymous volumes, too")
	f.BoolVarP(&o.force, "force", "f", false, "do not ask")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what would be removed")
	f.StringArrayVar(&o.filter, "filter", nil, "only images for which it holds (until, label, label!), and build cache (until)")
	return cmd
}

func runSystemPrune(ctx context.Context, a *app, o systemPruneOptions) error {
	now := time.Now()
	f, err := pruneFilter(o.filter, now)
	if err != nil {
		return err
	}
	if !o.force && !o.dryRun {
		if err := a.confirm(ctx, o.question()); err != nil {
			return err
		}
	}
	freed, err := a.pruneUnused(o, f)
	if err != nil {
		return err
	}
	reclaimed, err := pruneImages(ctx, a, engine.PruneOptions{All: o.all, Filter: f, DryRun: o.dryRun})
	if err != nil {
		return err
	}
	// Labels say nothing of the build cache: with such a filter it stays.
	if len(f.Labels)+len(f.NotLabels) == 0 {
		list, n, err := pruneCache(ctx, a, engine.CachePruneOptions{
			All: o.all, Until: f.Until, DryRun: o.dryRun, After: &engine.PruneOptions{All: o.all, Filter: f},
		})
		if err != nil {
			return err
		}
		printDeletedCache(a, o.dryRun, list)
		if o.dryRun { // n is of both: what they share comes back only when both are gone
			reclaimed = 0
		}
		reclaimed += n
	}
	printReclaimed(a, o.dryRun, reclaimed+freed)
	return nil
}

// pruneUnused removes stopped containers and, if that is asked for, anonymous volumes. It
// gives the bytes that this frees.
func (a *app) pruneUnused(o systemPruneOptions, f engine.Filter) (int64, error) {
	stopped, err := a.stoppedContainers(filters{"label": f.Labels, "label!": f.NotLabels}, f.Until)
	if err != nil {
		return 0, err
	}
	freed, err := a.removeAll("Containers", o.dryRun, stopped)
	if err != nil || !o.volumes {
		return freed, err
	}
	unused, err := a.unusedVolumes(false, f.Labels, stopped)
	if err != nil {
		return freed, err
	}
	n, err := a.removeAll("Volumes", o.dryRun, unused)
	return freed + n, err
}

// question lists what will be removed.
func (o systemPruneOptions) question() string {
	images, cache := "all dangling images", "unused build cache"
	if o.all {
		images, cache = "all images without at least one container associated to them", "all build cache"
	}
	lines := []string{"WARNING! This will remove:", "  - all stopped containers", "  - all networks not used by at least one container"}
	if o.volumes {
		lines = append(lines, "  - all anonymous volumes not used by at least one container")
	}
	lines = append(lines, "  - "+images, "  - "+cache, "")
	if len(o.filter) > 0 {
		lines = append(lines, "  Items to be pruned will be filtered with:")
		for _, s := range o.filter {
			lines = append(lines, "  - "+s)
		}
		lines = append(lines, "")
	}
	return strings.Join(lines, "\n")
}
