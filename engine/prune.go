package engine

import (
	"context"
	"slices"

	"github.com/mica-build/mica/store"
)

// PruneOptions say which images Prune removes. The zero value is the dangling ones.
type PruneOptions struct {
	All    bool   // those with a name too, unless a container uses them
	Filter Filter // of those, only what the filter lets through; Dangling and References are not looked at
	DryRun bool   // only say what would be removed
}

// Prune removes images that are not used. reclaimed is in bytes on disk.
func (e *Engine) Prune(ctx context.Context, o PruneOptions) (done []Removed, reclaimed int64, err error) {
	images, err := e.prunable(ctx, o)
	if err != nil {
		return nil, 0, err
	}
	if o.DryRun {
		return e.wouldRemove(ctx, images)
	}
	for _, m := range images {
		d, err := e.delete(ctx, m)
		done = append(done, d...)
		if err != nil {
			return done, 0, err
		}
	}
	reclaimed, err = e.Collect(ctx)
	return done, reclaimed, err
}

// prunable are the images that o is about.
func (e *Engine) prunable(ctx context.Context, o PruneOptions) ([]Image, error) {
	f := o.Filter
	f.Dangling, f.References = nil, nil
	if !o.All {
		yes := true
		f.Dangling = &yes
	}
	images, err := e.Images(ctx, f)
	if err != nil {
		return nil, err
	}
	return e.withoutUsed(images)
}

// wouldRemove says what removing images would do.
func (e *Engine) wouldRemove(ctx context.Context, images []Image) (done []Removed, reclaimed int64, err error) {
	for _, m := range images {
		for _, r := range slices.Concat(m.Names, m.Digests) {
			done = append(done, Removed{Untagged: Familiar(r)})
		}
		done = append(done, Removed{Deleted: m.ID.String()})
	}
	gone := targets(images)
	r, err := e.collect(ctx, store.PruneOptions{
		DryRun: true, Without: func(n store.Name) bool { return gone[n.Target.Digest] },
	})
	return done, r.Reclaimed, err
}
