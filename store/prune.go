//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/internal/lockfile"
)

// PruneOptions say what may go.
type PruneOptions struct {
	// Records says which cache records go; nil keeps all.
	Records func(*Record) bool
	// CacheMounts says which cache mounts go; nil keeps all. Those in use stay.
	CacheMounts func(CacheMountInfo) bool
	// DryRun only reports.
	DryRun bool
	// Without, in a dry run, says which names to leave out of account, as if they
	// had been removed; nil leaves out none.
	Without func(Name) bool
	// Background does not wait until what goes is unlinked, nor measures it; Close
	// ends that, and the next process goes on.
	Background bool
}

// Report says what was, or would be, removed.
type Report struct {
	Blobs, Layers, Records, CacheMounts int
	RemovedRecords                      []Key
	Reclaimed                           int64 // bytes on disk
	Objects                             []Object
}

// An Object is one thing that Prune removes.
type Object struct {
	Kind string // blob, layer, record, cache mount, index or temporary
	ID   string // a digest, a layer id, a key, the id of a cache mount, or a path in the store
	Size int64  // bytes on disk that come back
}

// A victim is one object to be removed.
type victim struct {
	path string
	what Object
	lock *lockfile.Lock // held for a cache mount
}

// A collection is one run of Prune.
type collection struct {
	store   *Store
	options PruneOptions
	report  Report
	victims []victim
	dead    []string  // leases
	lost    []indexed // layers to be put into the index again
}

// Prune removes the records and cache mounts that o names and then everything
// that no name, record or live lease reaches. What this Store pinned stays too:
// open another one, or Unpin, to collect what was just used.
//
// Others wait while garbage is found and renamed away, not while it is deleted.
// Records whose layers are gone are removed in any case.
func (s *Store) Prune(ctx context.Context, o PruneOptions) (Report, error) {
	c := &collection{store: s, options: o}
	trash, err := lockfile.Acquire(ctx, s.path("trash.lock"), lockfile.Exclusive)
	if err != nil {
		return Report{}, fmt.Errorf("prune: %w", advise(err))
	}
	defer trash.Release()
	paths, err := c.collect(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("prune: %w", advise(err))
	}
	if o.Background {
		s.removals.Go(func() { s.emptyTrash(s.background) })
		return c.report, ctx.Err()
	}
	m := meter{ctx: ctx, freed: true}
	for i, p := range paths {
		n, err := m.measure(p)
		if err != nil {
			return c.report, fmt.Errorf("prune: %w", err)
		}
		c.report.Objects[i].Size = n
		c.report.Reclaimed += n
	}
	if !o.DryRun {
		s.emptyTrash(ctx)
	}
	return c.report, ctx.Err()
}

// collect marks and moves the victims to the trash. It gives the paths where they
// are now; without moving any if it is a dry run.
func (c *collection) collect(ctx context.Context) ([]string, error) {
	// Measuring takes its time, so it comes before the lock.
	mounts, err := c.mounts(ctx)
	if err != nil {
		return nil, err
	}
	gc, err := c.store.collector(ctx, lockfile.Exclusive)
	if err != nil {
		return nil, err
	}
	defer gc.Release()
	defer c.release()
	if err := c.markAndSweep(ctx); err != nil {
		return nil, err
	}
	if err := c.takeMounts(mounts); err != nil {
		return nil, err
	}
	if err := c.takeIncoming(); err != nil {
		return nil, err
	}
	return c.bury()
}

func (c *collection) markAndSweep(ctx context.Context) error {
	s := c.store
	kept, err := c.sortRecords(ctx)
	if err != nil {
		return err
	}
	pins, dead, err := s.leases()
	if err != nil {
		return err
	}
	c.dead = dead
	names, err := s.Names(ctx)
	if err != nil {
		return err
	}
	m, err := s.newMarker()
	if err != nil {
		return err
	}
	m.records(kept)
	if c.options.DryRun && c.options.Without != nil {
		names = slices.DeleteFunc(names, c.options.Without)
	}
	if err := m.names(names); err != nil {
		return err
	}
	if err := m.pins(pins); err != nil {
		return err
	}
	if err := c.sweepLayers(m); err != nil {
		return err
	}
	c.lost = m.lost
	return c.sweepBlobs(m)
}

// sortRecords gives the records to be kept; the others become victims.
func (c *collection) sortRecords(ctx context.Context) ([]*Record, error) {
	records, err := c.store.Records(ctx)
	if err != nil {
		return nil, err
	}
	var kept []*Record
	readable := make(map[string]bool, len(records))
	for _, r := range records {
		readable[c.store.recordPath(r.Key)] = true
		_, err := c.store.outputs(r)
		if err != nil && !errors.Is(err, errs.ErrNotFound) && !errors.Is(err, errs.ErrInvalid) {
			return nil, err
		}
		if err == nil && (c.options.Records == nil || !c.options.Records(r)) {
			kept = append(kept, r)
			continue
		}
		c.report.Records++
		c.report.RemovedRecords = append(c.report.RemovedRecords, r.Key)
		c.add(c.store.recordPath(r.Key), "record", string(r.Key))
	}
	return kept, c.store.eachFile("records", func(path string) error {
		if !readable[path] { // damaged by power loss
			c.add(path, "record", filepath.Base(path))
		}
		return nil
	})
}

// sweepLayers adds layers that are not marked, directories that are no layers,
// and entries of the index that lead to neither.
func (c *collection) sweepLayers(m *marker) error {
	entries, err := os.ReadDir(c.store.path("layers"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !m.layers[LayerID(e.Name())] {
			c.report.Layers++
			c.add(c.store.path("layers", e.Name()), "layer", e.Name())
		}
	}
	return c.store.eachFile("diffids", func(path string) error {
		id, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if l := LayerID(id); !m.layers[l] || !c.store.hasLayer(l) {
			c.add(path, "index", filepath.Base(path))
		}
		return nil
	})
}

func (s *Store) hasLayer(id LayerID) bool {
	_, err := s.byID(id)
	return err == nil
}

func (c *collection) sweepBlobs(m *marker) error {
	return c.store.eachFile("blobs", func(path string) error {
		if d := digestOf(path); !m.blobs[d] {
			c.report.Blobs++
			c.add(path, "blob", d.String())
		}
		return nil
	})
}

// eachFile calls f for every file below one of the store's folders.
func (s *Store) eachFile(folder string, f func(path string) error) error {
	return filepath.WalkDir(s.path(folder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return f(path)
	})
}

// mounts asks which cache mounts are to go.
func (c *collection) mounts(ctx context.Context) ([]mountDir, error) {
	if c.options.CacheMounts == nil {
		return nil, nil
	}
	all, err := c.store.cacheMounts(ctx)
	if err != nil {
		return nil, err
	}
	var dirs []mountDir
	for _, m := range all {
		if !m.InUse && c.options.CacheMounts(m.CacheMountInfo) {
			dirs = append(dirs, m)
		}
	}
	return dirs, nil
}

// takeMounts locks the cache mounts that are to go and still not in use.
func (c *collection) takeMounts(dirs []mountDir) error {
	for _, m := range dirs {
		lock, err := lockfile.Try(filepath.Join(m.dir, "lock"), lockfile.Exclusive)
		if errors.Is(err, errs.ErrConflict) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		c.report.CacheMounts++
		c.victims = append(c.victims, victim{path: m.dir, what: Object{Kind: "cache mount", ID: m.ID}, lock: lock})
	}
	return nil
}

func (c *collection) add(path, kind, id string) {
	c.victims = append(c.victims, victim{path: path, what: Object{Kind: kind, ID: id}})
}

// bury renames the victims into the trash, records first, so that a record never
// outlives its layers by a crash.
func (c *collection) bury() ([]string, error) {
	var paths []string
	if c.options.DryRun {
		for _, v := range c.victims {
			paths = c.went(paths, v.path, v.what)
		}
		for _, name := range c.dead {
			paths = c.went(paths, c.store.path("tmp", name), Object{Kind: "temporary", ID: name})
		}
		return paths, nil
	}
	for _, v := range c.victims {
		to, err := c.store.toTrash(v.path)
		if err != nil {
			return nil, err
		}
		if to != "" {
			paths = c.went(paths, to, v.what)
		}
	}
	for _, x := range c.lost {
		if err := c.store.reindex(x); err != nil {
			return nil, err
		}
	}
	dead, err := c.store.bury(c.dead)
	for i, p := range dead {
		paths = c.went(paths, p, Object{Kind: "temporary", ID: c.dead[i]})
	}
	return paths, err
}

// went notes what is, or would be, at path.
func (c *collection) went(paths []string, path string, what Object) []string {
	c.report.Objects = append(c.report.Objects, what)
	return append(paths, path)
}

// reindex makes the index lead to x. It may be called with gc.lock held
// exclusively, when no lease can be made, so what it leaves when it is killed lies
// in the trash.
func (s *Store) reindex(x indexed) error {
	return atomicfile.Write(s.diffIDPath(x.DiffID, x.On), []byte(x.ID), atomicfile.Options{Perm: 0o600, TempDir: s.path("trash"), Sync: s.options.Durable})
}

func (c *collection) release() {
	for _, v := range c.victims {
		if v.lock != nil {
			_ = v.lock.Release()
		}
	}
}
