package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mica-build/mica/store"
)

// A GC keeps the build cache within bounds while and after builds run. Its zero
// value is the default: what BuildKit does when nothing is configured.
type GC struct {
	Off bool
	// The bounds; with none of them set, a tenth of the disk, at most 10 GB, is
	// reserved, four fifths, at most 100 GB, may be used, and a fifth is to be free.
	ReservedSpace, MaxUsedSpace, MinFreeSpace Space
	// KeepDuration is how long an entry that is not used is kept at most while the
	// bounds are exceeded; 0 is 60 days.
	KeepDuration time.Duration
}

// A Space is a number of bytes, or a part of the disk.
type Space struct {
	Bytes   int64
	Percent int64 // counts if Bytes is 0
}

// of is the space on a disk of that size. As in BuildKit a percentage is rounded
// up to a GB.
func (s Space) of(disk int64) int64 {
	if s.Bytes != 0 || s.Percent == 0 {
		return s.Bytes
	}
	return (disk*s.Percent/100/(1<<30) + 1) * 1e9
}

// bounds gives the three bounds in bytes for a disk of that size.
func (g GC) bounds(disk int64) (reserved, used, free int64) {
	if g.ReservedSpace == (Space{}) && g.MaxUsedSpace == (Space{}) && g.MinFreeSpace == (Space{}) {
		reserved = min(Space{Percent: 10}.of(disk), 10e9)
		used = min(Space{Percent: 80}.of(disk), 100e9)
		return reserved, used, Space{Percent: 20}.of(disk)
	}
	return g.ReservedSpace.of(disk), g.MaxUsedSpace.of(disk), g.MinFreeSpace.of(disk)
}

// cheapSpace is how much of what is easily made again is kept beyond two days.
const cheapSpace = 512e6

// policies are applied in turn, as BuildKit's: what is easily made again goes
// first, then what has not been used for long, then what no image shares.
func (g GC) policies(disk int64, now time.Time) []CachePruneOptions {
	reserved, used, free := g.bounds(disk)
	keep := g.KeepDuration
	if keep == 0 {
		keep = 60 * 24 * time.Hour
	}
	bounded := CachePruneOptions{ReservedSpace: reserved, MaxUsedSpace: used, MinFreeSpace: free, Background: true}
	cheap := CachePruneOptions{MaxUsedSpace: cheapSpace, Until: now.Add(-48 * time.Hour), Background: true, Filter: isCheap}
	old := bounded
	old.Until = now.Add(-keep)
	return []CachePruneOptions{cheap, old, bounded}
}

func isCheap(c CacheEntry) bool {
	return slices.Contains([]string{"source.local", typeCacheMount, typeSources}, c.Type)
}

// stateName is where a reading is kept in the store.
const stateName = "gc"

// A reading is how large the build cache was when it was looked at, and what
// was added since then, by whomever.
type reading struct {
	Used   int64
	Layers int // so many there are, if nobody was killed before he could say so
	At     time.Time
}

// A Collector keeps the build cache of an engine within the bounds of a GC.
type Collector struct {
	gc     GC
	engine *Engine
	now    func() time.Time

	mu   sync.Mutex
	news []store.LayerID // not counted yet
	wake chan struct{}
	quit chan struct{}
	done sync.WaitGroup
	err  error // of the goroutine, until it is done
	went bool  // something was collected
}

// NewCollector makes a collector; it works from Start on.
func NewCollector(g GC) *Collector {
	return &Collector{gc: g, now: time.Now, wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

// Committed says that a layer was published: it is time for a look, which
// happens in the background. It is made for store.Options.Committed.
func (c *Collector) Committed(id store.LayerID) {
	c.mu.Lock()
	c.news = append(c.news, id)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Start lets the collector work on e. It measures each layer that is committed, and
// looks at all of the cache when that says that a bound is exceeded.
func (c *Collector) Start(e *Engine) {
	if c.gc.Off || c.engine != nil {
		return
	}
	c.engine = e
	c.done.Go(func() {
		for {
			select {
			case <-c.quit:
				return
			case <-c.wake:
				c.look()
			}
		}
	})
}

// patience is how long Close waits for what goes to be unlinked.
const patience = 2 * time.Second

// Close takes a last look if something was committed since the one before, and
// gives the first error there was. It may wait a moment for the deletion; what is
// left of it is for the next process.
func (c *Collector) Close() error {
	if c.engine == nil {
		return nil
	}
	close(c.quit)
	c.done.Wait()
	select {
	case <-c.wake:
		c.look()
	default:
	}
	if c.went {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		c.engine.store.WaitForRemovals(ctx)
	}
	return c.err
}

func (c *Collector) look() {
	if err := c.collect(context.Background()); c.err == nil && err != nil {
		c.err = fmt.Errorf("collect build cache: %w", err)
	}
}

// collect applies the policies if a bound may be exceeded.
func (c *Collector) collect(ctx context.Context) error {
	size, free, err := c.engine.disk()
	if err != nil {
		return err
	}
	r, ok, err := c.count(ctx)
	if err != nil {
		return err
	}
	reserved, most, least := c.gc.bounds(size)
	if ok && (r.Used <= reserved || free >= least && (most == 0 || r.Used <= most)) {
		return nil
	}
	for _, p := range c.gc.policies(size, c.now()) {
		gone, _, err := c.engine.PruneCache(ctx, p)
		if err != nil {
			return err
		}
		c.went = c.went || len(gone) > 0
	}
	return c.remember(ctx)
}

// count adds what was committed to the last reading, by whatever process it is.
// It is not to be relied on if it is old, or there are more layers than it counts.
func (c *Collector) count(ctx context.Context) (r reading, ok bool, err error) {
	c.mu.Lock()
	news := c.news
	c.news = nil
	c.mu.Unlock()
	s := c.engine.store
	added := int64(0)
	for _, id := range news {
		n, err := s.Weigh(ctx, id)
		if err != nil {
			return r, false, err
		}
		added += n
	}
	unlock, err := s.Lock(ctx, stateName)
	if err != nil {
		return r, false, err
	}
	defer unlock()
	raw, err := s.State(stateName)
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return r, false, nil
	}
	r.Used += added
	r.Layers += len(news)
	layers, err := s.CountLayers()
	if err != nil {
		return r, false, err
	}
	age := c.now().Sub(r.At)
	return r, layers <= r.Layers && age >= 0 && age < 24*time.Hour, c.write(r)
}

func (c *Collector) write(r reading) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.engine.store.PutState(stateName, raw)
}

// remember makes a new reading.
func (c *Collector) remember(ctx context.Context) error {
	unlock, err := c.engine.store.Lock(ctx, stateName)
	if err != nil {
		return err
	}
	defer unlock()
	layers, err := c.engine.store.CountLayers()
	if err != nil {
		return err
	}
	now, err := c.engine.lookAtCache(ctx, nil)
	if err != nil {
		return err
	}
	return c.write(reading{now.total(), layers, c.now()})
}
