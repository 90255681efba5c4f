package engine

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

// typeCacheMount is the Type of cache mounts, as BuildKit calls it.
const typeCacheMount = "exec.cachemount"

// BuildCache lists what earlier builds left to be used again, least recently
// used first.
func (e *Engine) BuildCache(ctx context.Context) ([]CacheEntry, error) {
	records, err := e.view.Records(ctx)
	if err != nil {
		return nil, err
	}
	inImages, err := e.imageLayers(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b *store.Record) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(len(a.Parents), len(b.Parents)), cmp.Compare(a.Key, b.Key))
	})
	owned := map[store.LayerID]bool{}
	var list []CacheEntry
	for _, r := range records {
		c := CacheEntry{
			ID: string(r.Key), Type: r.Type, Description: r.Description,
			Created: r.Created, LastUsed: r.LastUsed, UsageCount: r.UsageCount,
		}
		for _, p := range r.Parents {
			c.Parents = append(c.Parents, string(p))
		}
		if err := e.weigh(ctx, &c, r, owned, inImages); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	mounts, err := e.store.CacheMounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		list = append(list, CacheEntry{
			ID: m.ID, Type: typeCacheMount, Description: "cache mount " + m.ID, Size: m.Usage,
			LastUsed: m.LastUsed, Created: m.LastUsed, InUse: m.InUse, Mutable: true,
		})
	}
	slices.SortFunc(list, func(a, b CacheEntry) int {
		return cmp.Or(a.LastUsed.Compare(b.LastUsed), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// weigh sums the layers of r that no older record has.
func (e *Engine) weigh(ctx context.Context, c *CacheEntry, r *store.Record, owned, inImages map[store.LayerID]bool) error {
	for _, stack := range r.Outputs {
		for _, id := range stack {
			c.Shared = c.Shared || inImages[id] && id == stack[len(stack)-1]
			if owned[id] {
				continue
			}
			owned[id] = true
			l, err := e.view.Layer(ctx, id)
			if errors.Is(err, errs.ErrNotFound) {
				continue // the record is of no use any more; a prune removes it
			}
			if err != nil {
				return err
			}
			c.Size += max(l.Usage, 0)
		}
	}
	return nil
}

// imageLayers is the set of layer trees that images have.
func (e *Engine) imageLayers(ctx context.Context) (map[store.LayerID]bool, error) {
	all, err := e.Images(ctx, Filter{})
	if err != nil {
		return nil, err
	}
	set := map[store.LayerID]bool{}
	for _, m := range all {
		for _, d := range m.Config.RootFS.DiffIDs {
			if l, err := e.view.LayerByDiffID(ctx, d); err == nil {
				set[l.ID] = true
			}
		}
	}
	return set, nil
}

// CachePruneOptions say how much of the build cache goes. The zero value is all
// of it that no image shares.
type CachePruneOptions struct {
	All    bool                  // what images share too
	Filter func(CacheEntry) bool // only entries it says true of; nil is all
	Until  time.Time             // only what was last used before; zero is no bound

	// Space, in bytes; with any of them set, the least recently used entries go
	// only until the cache is small enough.
	ReservedSpace int64 // that much is always kept
	MaxUsedSpace  int64 // more than that is not kept
	MinFreeSpace  int64 // the filesystem should have that much free

	DryRun bool
}

// PruneCache removes entries of the build cache. Those in use stay.
func (e *Engine) PruneCache(ctx context.Context, o CachePruneOptions) (removed []CacheEntry, reclaimed int64, err error) {
	list, err := e.BuildCache(ctx)
	if err != nil {
		return nil, 0, err
	}
	chosen, err := e.choose(list, o)
	if err != nil {
		return nil, 0, err
	}
	goes := map[string]bool{}
	for _, c := range chosen {
		goes[c.Type+" "+c.ID] = true
	}
	r, err := e.collect(ctx, store.PruneOptions{
		Records:     func(r *store.Record) bool { return goes[r.Type+" "+string(r.Key)] },
		CacheMounts: func(m store.CacheMountInfo) bool { return goes[typeCacheMount+" "+m.ID] },
		DryRun:      o.DryRun,
	})
	return chosen, r.Reclaimed, err
}

// choose picks from list, which is ordered by last use, what o says should go.
func (e *Engine) choose(list []CacheEntry, o CachePruneOptions) ([]CacheEntry, error) {
	keep, err := e.bound(list, o)
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for _, c := range list {
		total += c.Size
	}
	var chosen []CacheEntry
	for _, c := range list {
		switch {
		case keep > 0 && total <= keep:
			return chosen, nil
		case c.InUse, c.Shared && !o.All:
		case o.Filter != nil && !o.Filter(c):
		case !o.Until.IsZero() && !c.LastUsed.Before(o.Until):
		default:
			chosen = append(chosen, c)
			total -= c.Size
		}
	}
	return chosen, nil
}

// bound is how many bytes of cache o allows; 0 is none.
func (e *Engine) bound(list []CacheEntry, o CachePruneOptions) (int64, error) {
	if o.ReservedSpace == 0 && o.MaxUsedSpace == 0 && o.MinFreeSpace == 0 {
		return 0, nil
	}
	keep := o.MaxUsedSpace
	if o.MinFreeSpace > 0 {
		var fs unix.Statfs_t
		if err := unix.Statfs(e.store.Root(), &fs); err != nil {
			return 0, err
		}
		total := int64(0)
		for _, c := range list {
			total += c.Size
		}
		lack := o.MinFreeSpace - int64(fs.Bavail)*fs.Bsize
		switch goal := max(total-lack, 1); {
		case lack <= 0 && keep == 0:
			keep = total + 1 // nothing lacks
		case lack > 0 && (keep == 0 || goal < keep):
			keep = goal
		}
	}
	return max(keep, o.ReservedSpace), nil
}
