package engine

import (
	"cmp"
	"context"
	"os"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/store"
)

// typeCacheMount is the Type of cache mounts, as BuildKit calls it.
const typeCacheMount = "exec.cachemount"

// typeSources is the Type of what builds downloaded: git repositories and files.
const typeSources = "source.git.checkout"

// BuildCache lists what earlier builds left to be used again, least recently
// used first.
func (e *Engine) BuildCache(ctx context.Context) ([]CacheEntry, error) {
	c, err := e.lookAtCache(ctx, nil)
	if err != nil {
		return nil, err
	}
	return c.entries, nil
}

// A cache is the build cache at one moment.
type cache struct {
	entries []CacheEntry // least recently used first
	records map[string]*store.Record
	weight  map[store.LayerID]int64
	users   map[store.LayerID]int  // records that have the layer
	held    map[store.LayerID]bool // images have it
	pinned  map[store.LayerID]bool // a running mica has it
	used    map[store.LayerID]time.Time
}

// lookAtCache lists the cache without pinning any of it. Images with one of the
// targets in without count as gone.
func (e *Engine) lookAtCache(ctx context.Context, without map[digest.Digest]bool) (*cache, error) {
	c := &cache{
		records: map[string]*store.Record{}, weight: map[store.LayerID]int64{},
		users: map[store.LayerID]int{}, used: map[store.LayerID]time.Time{},
	}
	layers, err := e.view.Layers(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		c.weight[l.ID] = l.Usage
	}
	if c.held, err = e.imageLayers(ctx, layers, without); err != nil {
		return nil, err
	}
	// What was looked at for that is no use.
	if err := e.view.Unpin(ctx); err != nil {
		return nil, err
	}
	if c.pinned, err = e.view.Pinned(ctx); err != nil {
		return nil, err
	}
	if err := e.listRecords(ctx, c); err != nil {
		return nil, err
	}
	if err := e.listMounts(ctx, c); err != nil {
		return nil, err
	}
	if err := e.listSources(c); err != nil {
		return nil, err
	}
	slices.SortFunc(c.entries, func(a, b CacheEntry) int {
		return cmp.Or(a.LastUsed.Compare(b.LastUsed), cmp.Compare(a.ID, b.ID))
	})
	return c, nil
}

func (e *Engine) listRecords(ctx context.Context, c *cache) error {
	records, err := e.view.Records(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(records, func(a, b *store.Record) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(len(a.Parents), len(b.Parents)), cmp.Compare(a.Key, b.Key))
	})
	for _, r := range records {
		entry := CacheEntry{
			ID: string(r.Key), Type: r.Type, Description: r.Description,
			Created: r.Created, LastUsed: r.LastUsed, UsageCount: r.UsageCount,
		}
		for _, p := range r.Parents {
			entry.Parents = append(entry.Parents, string(p))
		}
		entry.Size = r.Usage
		for id := range layersOf(r) {
			if c.users[id]++; c.users[id] == 1 {
				entry.Size += c.weight[id]
			}
			if r.LastUsed.After(c.used[id]) {
				c.used[id] = r.LastUsed
			}
		}
		for _, id := range tops(r) {
			entry.Shared = entry.Shared || c.held[id]
			entry.InUse = entry.InUse || c.pinned[id]
		}
		c.records[entry.key()] = r
		c.entries = append(c.entries, entry)
	}
	return nil
}

func (e *Engine) listMounts(ctx context.Context, c *cache) error {
	mounts, err := e.view.CacheMounts(ctx)
	for _, m := range mounts {
		c.entries = append(c.entries, CacheEntry{
			ID: m.ID, Type: typeCacheMount, Description: "cache mount " + m.ID, Size: m.Usage,
			LastUsed: m.LastUsed, Created: m.LastUsed, InUse: m.InUse, Mutable: true,
		})
	}
	return err
}

// layersOf are the layers that a record keeps.
func layersOf(r *store.Record) map[store.LayerID]bool {
	set := map[store.LayerID]bool{}
	for _, stack := range r.Outputs {
		for _, id := range stack {
			set[id] = true
		}
	}
	return set
}

// tops are the layers that the record's step made.
func tops(r *store.Record) []store.LayerID {
	var out []store.LayerID
	for _, stack := range r.Outputs {
		if len(stack) > 0 {
			out = append(out, stack[len(stack)-1])
		}
	}
	return out
}

// imageLayers is the set of layer trees that images have.
func (e *Engine) imageLayers(ctx context.Context, layers []store.Layer, without map[digest.Digest]bool) (map[store.LayerID]bool, error) {
	all, err := e.Images(ctx, Filter{})
	if err != nil {
		return nil, err
	}
	needed := map[digest.Digest]bool{}
	for _, m := range all {
		if slices.ContainsFunc(m.Targets, func(d image.Descriptor) bool { return without[d.Digest] }) {
			continue
		}
		for _, d := range m.Config.RootFS.DiffIDs {
			needed[d] = true
		}
	}
	set := map[store.LayerID]bool{}
	for _, l := range layers {
		if l.DiffID != "" && needed[l.DiffID] {
			set[l.ID] = true
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
	// Background does not wait for the deletion, nor say how much it frees.
	Background bool
	// After, in a dry run, are images to take for removed already.
	After *PruneOptions
}

// PruneCache removes entries of the build cache. Those in use stay. removed says
// of each how many bytes went with it; at its end is what nothing referred to.
func (e *Engine) PruneCache(ctx context.Context, o CachePruneOptions) (removed []CacheEntry, reclaimed int64, err error) {
	without, err := e.without(ctx, o)
	if err != nil {
		return nil, 0, err
	}
	c, err := e.lookAtCache(ctx, without)
	if err != nil {
		return nil, 0, err
	}
	chosen, err := e.choose(c, o)
	if err != nil {
		return nil, 0, err
	}
	removal := c.removal(chosen, o)
	removal.Without = func(n store.Name) bool { return without[n.Target.Digest] }
	r, err := e.collect(ctx, removal)
	if err != nil {
		return nil, 0, err
	}
	removed, reclaimed = c.account(chosen, r), r.Reclaimed
	for _, x := range chosen {
		if x.Type != typeSources {
			continue
		}
		reclaimed += x.Size
		if !o.DryRun {
			_, err = e.sources().Prune(ctx, time.Now().Add(-sourcesInUse))
		}
	}
	return removed, reclaimed, err
}

// without are the targets of images that a dry run takes for removed.
func (e *Engine) without(ctx context.Context, o CachePruneOptions) (map[digest.Digest]bool, error) {
	if !o.DryRun || o.After == nil {
		return nil, nil
	}
	images, err := e.prunable(ctx, *o.After)
	return targets(images), err
}

func targets(images []Image) map[digest.Digest]bool {
	set := map[digest.Digest]bool{}
	for _, m := range images {
		for _, t := range m.Targets {
			set[t.Digest] = true
		}
	}
	return set
}

// removal tells the store what was chosen.
func (c *cache) removal(chosen []CacheEntry, o CachePruneOptions) store.PruneOptions {
	goes := map[string]bool{}
	for _, x := range chosen {
		goes[x.key()] = true
	}
	return store.PruneOptions{
		Records:     func(r *store.Record) bool { return goes[r.Type+" "+string(r.Key)] },
		CacheMounts: func(m store.CacheMountInfo) bool { return goes[typeCacheMount+" "+m.ID] },
		DryRun:      o.DryRun, Background: o.Background,
	}
}

func (c CacheEntry) key() string { return c.Type + " " + c.ID }

// account gives each entry the size of what went with it, and lists behind them
// what else went.
func (c *cache) account(chosen []CacheEntry, r store.Report) []CacheEntry {
	size := map[string]int64{}
	for _, o := range r.Objects {
		size[o.Kind+" "+o.ID] += o.Size
	}
	take := func(kind, id string) int64 {
		n := size[kind+" "+id]
		delete(size, kind+" "+id)
		return n
	}
	for i := range chosen {
		x := &chosen[i]
		switch x.Type {
		case typeSources:
			continue
		case typeCacheMount:
			x.Size = take("cache mount", x.ID)
			continue
		}
		x.Size = take("record", x.ID)
		for id := range layersOf(c.records[x.key()]) {
			x.Size += take("layer", string(id))
		}
	}
	for _, o := range r.Objects {
		if n, ok := size[o.Kind+" "+o.ID]; ok && o.Kind != "index" {
			chosen = append(chosen, CacheEntry{ID: o.ID, Type: typeUnneeded, Description: o.Kind + " that nothing needs", Size: n})
			delete(size, o.Kind+" "+o.ID)
		}
	}
	return chosen
}

// typeUnneeded is the Type of what is no entry of the cache, but goes with a prune.
const typeUnneeded = "internal"

// choose picks what o says should go, and nothing that frees no byte when it is
// only about space.
func (e *Engine) choose(c *cache, o CachePruneOptions) ([]CacheEntry, error) {
	total := c.total()
	keep, err := e.bound(total, o)
	if err != nil {
		return nil, err
	}
	var chosen []CacheEntry
	for _, x := range c.byUse() {
		switch {
		case keep > 0 && total <= keep:
			return chosen, nil
		case x.InUse, x.Shared && (!o.All || keep > 0):
		case o.Filter != nil && !o.Filter(x):
		case !o.Until.IsZero() && !c.lastUse(x).Before(o.Until):
		default:
			chosen = append(chosen, x)
			total -= c.drop(x)
		}
	}
	return chosen, nil
}

// lastUse is when an entry, or one that was made from it, was used last.
func (c *cache) lastUse(x CacheEntry) time.Time {
	last := x.LastUsed
	if r := c.records[x.key()]; r != nil {
		for _, id := range tops(r) {
			if c.used[id].After(last) {
				last = c.used[id]
			}
		}
	}
	return last
}

// byUse orders the entries as they should go: what is used least recently
// first, and what was made last before what it was made from.
func (c *cache) byUse() []CacheEntry {
	depth := func(x CacheEntry) (n int) {
		if r := c.records[x.key()]; r != nil {
			n = len(layersOf(r))
		}
		return n
	}
	list := slices.Clone(c.entries)
	slices.SortStableFunc(list, func(a, b CacheEntry) int {
		return cmp.Or(c.lastUse(a).Compare(c.lastUse(b)), cmp.Compare(depth(b), depth(a)))
	})
	return list
}

// total is what the cache takes beside images: also layers that builds are just
// making, but not those that nothing needs, which go with any prune.
func (c *cache) total() (n int64) {
	for id, size := range c.weight {
		if !c.held[id] && (c.users[id] > 0 || c.pinned[id]) {
			n += size
		}
	}
	for _, x := range c.entries {
		if r := c.records[x.key()]; r != nil {
			n += r.Usage
		} else {
			n += x.Size
		}
	}
	return n
}

// drop takes an entry away and says how many bytes that frees.
func (c *cache) drop(x CacheEntry) (freed int64) {
	r := c.records[x.key()]
	if r == nil {
		return x.Size
	}
	freed = r.Usage
	for id := range layersOf(r) {
		if c.users[id]--; c.users[id] == 0 && !c.held[id] && !c.pinned[id] {
			freed += c.weight[id]
		}
	}
	return freed
}

// bound is how many bytes of cache o allows; 0 is none.
func (e *Engine) bound(total int64, o CachePruneOptions) (int64, error) {
	if o.ReservedSpace == 0 && o.MaxUsedSpace == 0 && o.MinFreeSpace == 0 {
		return 0, nil
	}
	keep := o.MaxUsedSpace
	if o.MinFreeSpace > 0 {
		_, free, err := e.disk()
		if err != nil {
			return 0, err
		}
		lack := o.MinFreeSpace - free
		switch goal := max(total-lack, 1); {
		case lack <= 0 && keep == 0:
			keep = total + 1 // nothing lacks
		case lack > 0 && (keep == 0 || goal < keep):
			keep = goal
		}
	}
	return max(keep, o.ReservedSpace), nil
}

// disk is the size of the store's filesystem, and what is free of it.
func (e *Engine) disk() (size, free int64, err error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(e.store.Root(), &fs); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: e.store.Root(), Err: err}
	}
	return int64(fs.Blocks) * fs.Bsize, int64(fs.Bavail) * fs.Bsize, nil
}
