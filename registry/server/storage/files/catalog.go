package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

// A catalog knows how much each repository has. An entry is written before the
// change it tells of, and says what there is at most until that is made: so no
// repository is missing, quotas hold, and a collection sees which repositories
// have changed. What a killed process left too large, collections correct.
type catalog struct {
	path string

	mu      sync.Mutex
	at      position
	repos   map[string]storage.Usage
	sorted  []string       // nil when out of date
	changed map[string]int // in which record a repository was last named
}

func newCatalog(root string) *catalog {
	c := &catalog{path: filepath.Join(root, "catalog.log")}
	c.reset()
	return c
}

func (c *catalog) reset() {
	c.repos, c.changed, c.sorted = map[string]storage.Usage{}, map[string]int{}, nil
}

// entry is what a record of the catalog says.
type entry struct {
	Name string `json:"n"`
	storage.Usage
}

func (c *catalog) apply(payload string) error {
	var e entry
	if err := json.Unmarshal([]byte(payload), &e); err != nil {
		return fmt.Errorf("catalog: %w: %w", errs.ErrInvalid, err)
	}
	c.set(e)
	return nil
}

func (c *catalog) set(e entry) {
	_, had := c.repos[e.Name]
	if e.Usage == (storage.Usage{}) {
		delete(c.repos, e.Name)
	} else {
		c.repos[e.Name] = e.Usage
	}
	if _, has := c.repos[e.Name]; has != had {
		c.sorted = nil
	}
	c.changed[e.Name] = c.at.records + 1
}

// refresh reads what is new. c.mu is held.
func (c *catalog) refresh() error {
	if ok, err := c.at.current(c.path); ok || err != nil {
		return err
	}
	f, err := os.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		c.at = position{}
		c.reset()
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return c.at.read(f, c)
}

// says whether the catalog has u for a repository.
func (c *catalog) says(name string, u storage.Usage) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refresh() == nil && c.repos[name] == u
}

// list gives a page of the repositories.
func (c *catalog) list(p storage.Page) ([]storage.Repository, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refresh(); err != nil {
		return nil, err
	}
	if c.sorted == nil {
		c.sorted = slices.Sorted(maps.Keys(c.repos))
	}
	names := c.sorted
	if p.Last != "" {
		i, found := slices.BinarySearch(names, p.Last)
		if found {
			i++
		}
		names = names[i:]
	}
	if p.N > 0 && len(names) > p.N {
		names = names[:p.N]
	}
	out := make([]storage.Repository, len(names))
	for i, name := range names {
		out[i] = storage.Repository{Name: name, Usage: c.repos[name]}
	}
	return out, nil
}

// reserve writes what a repository will have, if the limits allow it. used is
// what it has, more what is added.
func (c *catalog) reserve(ctx context.Context, e entry, used, more int64, limits []storage.Limit) error {
	lock, err := lockExclusive(ctx, c.path)
	if err != nil {
		return err
	}
	defer lock.Release()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.at.read(lock.File(), c); err != nil {
		return err
	}
	if more > 0 {
		for _, l := range limits {
			if err := c.check(e.Name, used, more, l); err != nil {
				return err
			}
		}
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := c.at.write(lock.File(), payload, false); err != nil {
		return err
	}
	if err := c.at.read(lock.File(), c); err != nil {
		return err
	}
	if c.at.records > 4*len(c.repos)+4096 {
		_ = c.compact() // then next time
	}
	return nil
}

// check holds one limit.
func (c *catalog) check(repo string, used, more int64, l storage.Limit) error {
	if !l.Covers(repo) {
		return nil
	}
	for name, u := range c.repos {
		if name != repo && l.Covers(name) {
			used += u.Bytes
		}
	}
	if used+more > l.Bytes {
		return &storage.QuotaError{Limit: l, Used: used, More: more}
	}
	return nil
}

// compact replaces the log by one with an entry for each repository. It is locked.
func (c *catalog) compact() error {
	return rewrite(c.path, func(add func([]byte) error) error {
		for name, u := range c.repos {
			payload, err := json.Marshal(entry{name, u})
			if err == nil {
				err = add(payload)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
