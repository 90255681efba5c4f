package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/internal/ui/format"
)

type builderPruneOptions struct {
	all, force, verbose, dryRun bool
	filter                      []string
	reserved, maxUsed, minFree  byteSize
	keep                        time.Duration
}

func newBuilderPruneCmd(a *app) *cobra.Command {
	var o builderPruneOptions
	cmd := &cobra.Command{
		Use:   "prune [OPTIONS]",
		Short: "Remove build cache",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBuilderPrune(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "remove what images share too")
	f.BoolVarP(&o.force, "force", "f", false, "do not ask")
	f.BoolVar(&o.verbose, "verbose", false, "print a paragraph for each entry")
	f.BoolVar(&o.dryRun, "dry-run", false, "only say what would be removed")
	f.StringArrayVar(&o.filter, "filter", nil, "only entries for which it holds: "+strings.Join(cacheFilterKeys, ", "))
	f.Var(&o.reserved, "reserved-space", "bytes of cache to keep")
	f.Var(&o.reserved, "keep-storage", "the same as --reserved-space")
	f.Var(&o.maxUsed, "max-used-space", "bytes of cache that are not to be exceeded")
	f.Var(&o.minFree, "min-free-space", "bytes that the filesystem should have free")
	f.DurationVar(&o.keep, "keep-duration", 0, "keep what was used within it, like 24h")
	must(f.MarkHidden("keep-storage"))
	return cmd
}

func runBuilderPrune(ctx context.Context, a *app, o builderPruneOptions) error {
	now := time.Now()
	f, err := parseCacheFilter(o.filter, now)
	if err != nil {
		return err
	}
	if !o.force && !o.dryRun {
		question := "WARNING! This will remove all dangling build cache."
		if o.all {
			question = "WARNING! This will remove all build cache."
		}
		if err := a.confirm(ctx, question); err != nil {
			return err
		}
	}
	var until time.Time
	if o.keep > 0 {
		until = now.Add(-o.keep)
	}
	list, reclaimed, err := pruneCache(ctx, a, engine.CachePruneOptions{
		All: o.all, Until: until, Filter: f.holds, DryRun: o.dryRun,
		ReservedSpace: int64(o.reserved), MaxUsedSpace: int64(o.maxUsed), MinFreeSpace: int64(o.minFree),
	})
	if err != nil {
		return err
	}
	if err := printPrunedCache(a, o.verbose, list, now); err != nil {
		return err
	}
	if o.dryRun {
		fmt.Fprintln(a.stdout, "Would reclaim:\t"+format.Size(reclaimed))
		return nil
	}
	fmt.Fprintln(a.stdout, "Total:\t"+format.Size(reclaimed))
	return nil
}

func pruneCache(ctx context.Context, a *app, o engine.CachePruneOptions) ([]engine.CacheEntry, int64, error) {
	e, err := a.engine()
	if err != nil {
		return nil, 0, err
	}
	return e.PruneCache(ctx, o)
}

func printPrunedCache(a *app, verbose bool, list []engine.CacheEntry, now time.Time) error {
	switch {
	case len(list) == 0:
		return nil
	case verbose:
		return printCacheVerbose(a.stdout, list, now, false)
	}
	return format.Rows(a.stdout, "", duTable, cacheRows(list, now))
}

// A byteSize is a flag's number of bytes: "512MB", "10gb", "1048576".
type byteSize int64

func (b *byteSize) Set(s string) error {
	n, err := units.RAMInBytes(s)
	if err == nil && n < 0 {
		err = fmt.Errorf("%q is negative", s)
	}
	*b = byteSize(n)
	return err
}

func (b *byteSize) String() string { return units.BytesSize(float64(*b)) }

// Type names the flag's value in the help.
func (b *byteSize) Type() string { return "bytes" }

// printDeletedCache lists the entries that a system prune removed.
func printDeletedCache(a *app, dryRun bool, list []engine.CacheEntry) {
	if len(list) == 0 {
		return
	}
	if dryRun {
		fmt.Fprintln(a.stdout, "Would delete build cache objects:")
	} else {
		fmt.Fprintln(a.stdout, "Deleted build cache objects:")
	}
	for _, c := range list {
		fmt.Fprintln(a.stdout, c.ID)
	}
	fmt.Fprintln(a.stdout)
}
