//go:build linux

package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/lockfile"
)

// checkRecords verifies that every cache record is whole and leads to layers.
func (c *checker) checkRecords(ctx context.Context) error {
	return c.store.eachFile("records", func(path string) error {
		what := c.recordFault(path)
		if what == "" {
			return ctx.Err()
		}
		c.add(&finding{
			Problem: Problem{Kind: "record", Object: filepath.Base(path), What: what, Repair: "remove it; the step runs again"},
			still:   func() bool { return c.recordFault(path) != "" },
			repair:  c.away(path),
		})
		return nil
	})
}

// recordFault says what is wrong with a record, "" if nothing is.
func (c *checker) recordFault(path string) string {
	k := Key(filepath.Base(path))
	if !isName(string(k)) || c.store.recordPath(k) != path {
		return "is not named as records are"
	}
	r, err := c.store.readRecord(k)
	if err != nil {
		if _, serr := os.Lstat(path); gone(serr) {
			return ""
		}
		return "is damaged"
	}
	if _, err := c.store.outputs(r); err != nil {
		return "leads to a layer that is not there: " + err.Error()
	}
	for _, stack := range r.Outputs {
		for _, id := range stack {
			if c.badTrees[id] {
				return "leads to the damaged layer " + string(id)
			}
		}
	}
	return ""
}

// checkMounts verifies that each cache mount says whose it is.
func (c *checker) checkMounts(context.Context) error {
	dirs, err := filepath.Glob(c.store.path("cachemounts", "*", "*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if c.mountFault(dir) == "" {
			continue
		}
		c.add(&finding{
			Problem: Problem{Kind: "cache mount", Object: c.rel(dir), What: c.mountFault(dir), Repair: "move it to the trash; it starts empty again"},
			still:   func() bool { return c.mountFault(dir) != "" && !inUse(filepath.Join(dir, "lock")) },
			repair:  c.away(dir),
		})
	}
	return nil
}

func (c *checker) mountFault(dir string) string {
	if _, err := os.Lstat(dir); gone(err) {
		return ""
	}
	if st, err := os.Lstat(filepath.Join(dir, "fs")); err != nil || !st.IsDir() {
		return "has no directory"
	}
	id, err := os.ReadFile(filepath.Join(dir, "id"))
	if err != nil || hashName(string(id)) != filepath.Base(filepath.Dir(dir)) {
		return "does not say whose it is"
	}
	return ""
}

// inUse says whether somebody holds the lock at path, which need not be there.
func inUse(path string) bool {
	if _, err := os.Lstat(path); err != nil {
		return false
	}
	l, err := lockfile.Try(path, lockfile.Exclusive)
	if err == nil {
		_ = l.Release()
	}
	return errors.Is(err, errs.ErrConflict)
}

// checkTrash finds what waits to be unlinked.
func (c *checker) checkTrash(context.Context) error {
	entries, err := os.ReadDir(c.store.path("trash"))
	if err != nil {
		return err
	}
	busy := inUse(c.store.path("trash.lock")) // somebody is at it
	for _, e := range entries {
		path := c.store.path("trash", e.Name())
		if busy {
			continue
		}
		c.add(&finding{
			Problem: Problem{Kind: "trash", Object: e.Name(), What: "was not unlinked yet", Repair: "unlink it", Leftover: true},
			still:   there(path),
			repair:  func(ctx context.Context) error { return removeUntil(ctx, path) },
		})
	}
	return nil
}

// checkLeases finds leases whose owner is dead, and temporaries without a lease.
// The caller holds gc.lock exclusively.
func (c *checker) checkLeases() error {
	_, dead, err := c.store.leases()
	if err != nil {
		return err
	}
	for _, name := range dead {
		f := &finding{
			Problem: Problem{Kind: "lease", Object: name, What: "its process is dead", Repair: "remove it and its temporaries", Leftover: true},
			repair: func(context.Context) error {
				paths, err := c.store.bury([]string{name})
				for _, p := range paths {
					if p == "" {
						continue
					}
					c.store.removals.Go(func() { c.store.unlink(p) })
				}
				return err
			},
		}
		if _, err := os.Lstat(c.store.path("leases", name)); errors.Is(err, fs.ErrNotExist) {
			f.Kind, f.What = "temporary", "has no lease"
		}
		c.add(f)
	}
	return nil
}
