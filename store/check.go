//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/lockfile"
)

// CheckOptions configure Check. The zero value verifies everything and changes nothing.
type CheckOptions struct {
	// Quick skips the content of blobs and layer trees: only sizes, names and
	// what leads where are looked at.
	Quick bool
	// Repair puts right what can be without loss. What is damaged goes to the
	// trash, so that it is not taken for good and can be had again.
	Repair bool
	// Progress hears of each object before it is read; nil is silence. It may be
	// called concurrently.
	Progress func(object string)
}

// A Problem is something that Check found.
type Problem struct {
	// Kind is blob, layer, index, name, names log, record, cache mount, lease,
	// temporary, lock, trash or orphan.
	Kind   string `json:"kind"`
	Object string `json:"object"` // a digest, an id, a name, or a path in the store
	What   string `json:"what"`   // what is wrong
	// Images are the names of the images that are concerned.
	Images []string `json:"images,omitempty"`
	Repair string   `json:"repair,omitempty"` // what CheckOptions.Repair does
	Advice string   `json:"advice,omitempty"` // what the user has to do, where bytes are gone
	// Leftover says that nothing is wrong: a process ended early, or nothing needs
	// the object any more, and the next prune removes it.
	Leftover bool `json:"leftover"`
	Repaired bool `json:"repaired"`
}

// A finding is a problem with the ways to be sure of it and to repair it.
type finding struct {
	Problem
	still  func() bool                 // is it still so? nil: always; asked while nothing is published
	repair func(context.Context) error // nil: there is no way; run while nothing is published
}

// A checker is one run of Check.
type checker struct {
	store    *Store
	o        CheckOptions
	mu       sync.Mutex // guards found, badBlobs and badTrees
	found    []*finding
	badBlobs map[digest.Digest]bool
	badTrees map[LayerID]bool
	images   *imageWalk
}

// Check looks at every object of the store and says what is wrong, ordered by
// kind and object. Other processes may work on the store meanwhile; they wait
// while findings are confirmed and repaired, not while content is read.
func (s *Store) Check(ctx context.Context, o CheckOptions) ([]Problem, error) {
	c := &checker{
		store: s, o: o,
		badBlobs: map[digest.Digest]bool{}, badTrees: map[LayerID]bool{},
	}
	list, err := c.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("check store %s: %w", s.root, advise(err))
	}
	return list, nil
}

func (c *checker) run(ctx context.Context) ([]Problem, error) {
	// Names come first and last: what content is damaged decides which images are
	// whole, and what images say of layers helps to verify those.
	for _, step := range []func(context.Context) error{
		c.checkNamesLog, c.walkImages, c.checkBlobs, c.checkLayers, c.checkIndex,
		c.checkNames, c.checkRecords, c.checkMounts, c.checkTrash,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
	}
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	if err := c.orphans(ctx); err != nil {
		return nil, err
	}
	return c.problems(), nil
}

// settle confirms the findings and repairs them, while nothing is published.
func (c *checker) settle(ctx context.Context) error {
	if c.o.Repair { // the order of locks is trash, gc, names
		trash, err := lockfile.Acquire(ctx, c.store.path("trash.lock"), lockfile.Exclusive)
		if err != nil {
			return err
		}
		defer trash.Release()
	}
	gc, err := c.store.collector(ctx, lockfile.Exclusive)
	if err != nil {
		return err
	}
	defer gc.Release()
	if err := c.checkLeases(); err != nil {
		return err
	}
	c.found = slices.DeleteFunc(c.found, func(f *finding) bool { return f.still != nil && !f.still() })
	if !c.o.Repair {
		return nil
	}
	for _, f := range c.found {
		if f.repair == nil {
			continue
		}
		if err := f.repair(ctx); err != nil {
			return fmt.Errorf("repair %s %s: %w", f.Kind, f.Object, err)
		}
		f.Repaired = true
	}
	return nil
}

// orphans says how much nothing refers to, and lets Prune remove it.
func (c *checker) orphans(ctx context.Context) error {
	r, err := c.store.Prune(ctx, PruneOptions{DryRun: true})
	if errors.Is(err, errs.ErrInvalid) || errors.Is(err, unix.EROFS) {
		return nil // the names log is damaged, and one of the findings; or nothing can be locked
	}
	if err != nil || r.Blobs+r.Layers == 0 {
		return err
	}
	f := &finding{Problem: Problem{
		Kind: "orphan", Object: fmt.Sprintf("%d blobs and %d layers", r.Blobs, r.Layers),
		What:   fmt.Sprintf("no name, cache record or running mica needs them; they take %d bytes", r.Reclaimed),
		Repair: "remove them", Leftover: true,
	}}
	switch {
	case slices.ContainsFunc(c.found, func(f *finding) bool { return f.Kind == "name" }):
		// Parts of an image that lacks another may be what is left of it.
		f.Repair = ""
	case c.o.Repair:
		if _, err := c.store.Prune(ctx, PruneOptions{}); err != nil {
			return err
		}
		f.Repaired = true
	}
	c.found = append(c.found, f)
	return nil
}

func (c *checker) problems() []Problem {
	out := make([]Problem, 0, len(c.found))
	for _, f := range c.found {
		out = append(out, f.Problem)
	}
	slices.SortStableFunc(out, func(a, b Problem) int {
		if a.Leftover != b.Leftover {
			if a.Leftover {
				return 1
			}
			return -1
		}
		if n := strings.Compare(a.Kind, b.Kind); n != 0 {
			return n
		}
		return strings.Compare(a.Object, b.Object)
	})
	return out
}

// add remembers a finding. It may be called concurrently.
func (c *checker) add(f *finding) {
	c.mu.Lock()
	c.found = append(c.found, f)
	c.mu.Unlock()
}

func (c *checker) tell(object string) {
	if c.o.Progress != nil {
		c.o.Progress(object)
	}
}

// there gives a test whether path is still the file that was looked at.
func there(path string) func() bool {
	seen, err := os.Lstat(path)
	if err != nil {
		return func() bool { return false }
	}
	return func() bool {
		now, err := os.Lstat(path)
		return err == nil && os.SameFile(seen, now)
	}
}

// away gives a repair that moves path to the trash.
func (c *checker) away(path string) func(context.Context) error {
	return func(context.Context) error { return c.store.discard(path) }
}

// gone says whether err is of something that vanished while it was looked at.
func gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, errs.ErrNotFound)
}

// rel is path as it is called within the store.
func (c *checker) rel(path string) string {
	if r, err := filepath.Rel(c.store.root, path); err == nil {
		return r
	}
	return path
}
