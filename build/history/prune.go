//go:build linux

package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/lockfile"
	"github.com/mica-build/mica/store"
)

const (
	// Keep is how many builds are kept.
	Keep = 100
	// KeepFor is how long a build is kept.
	KeepFor = 30 * 24 * time.Hour
	// slack is how many more there may be before a build that only looked takes
	// the time to remove some.
	slack = Keep
)

// KeptKey is the key of the cache record that keeps the root filesystem of a
// build's failed step.
func KeptKey(id ID) store.Key {
	sum := sha256.Sum256([]byte("failed step of build " + string(id)))
	return store.Key(hex.EncodeToString(sum[:]))
}

// PruneSome is Prune where it is overdue: for builds that take milliseconds.
func (h *History) PruneSome(ctx context.Context) error {
	ids, err := h.ids()
	if err != nil || len(ids) <= Keep+slack {
		return err
	}
	return h.Prune(ctx)
}

// Prune removes the builds that are too old or too many, with what was kept of
// their failed steps, and the listings that no build needs. Those that run, and
// those to which others refer, stay.
func (h *History) Prune(ctx context.Context) error {
	ids, err := h.ids()
	if err != nil {
		return err
	}
	limit := time.Now().Add(-KeepFor)
	first := max(0, len(ids)-Keep)
	for first < len(ids) && ids[first].time().Before(limit) {
		first++
	}
	if first == 0 {
		return nil
	}
	needed := h.referred(ids[first:])
	oldest := time.Now()
	if first < len(ids) {
		oldest = ids[first].time()
	}
	for _, id := range ids[:first] {
		if needed[id] {
			if t := id.time(); t.Before(oldest) {
				oldest = t
			}
			continue
		}
		if err := h.remove(ctx, id); err != nil {
			return fmt.Errorf("prune builds: %w", err)
		}
	}
	return h.pruneListings(oldest)
}

// referred lists the builds that some of ids found to be still true.
func (h *History) referred(ids []ID) map[ID]bool {
	out := map[ID]bool{}
	for _, id := range ids {
		if b, err := h.read(id); err == nil && b.Same != "" {
			out[b.Same] = true
		}
	}
	return out
}

// remove removes one build, unless it runs. The record is given up before the
// directory, so that nothing is kept that nobody knows.
func (h *History) remove(ctx context.Context, id ID) error {
	lock, err := lockfile.Try(h.path(id, "lock"), lockfile.Exclusive)
	if errors.Is(err, errs.ErrConflict) {
		return nil
	}
	if err == nil {
		defer lock.Release()
	}
	if _, err := os.Stat(h.path(id, "kept.json")); err == nil {
		if err := h.store.ForgetRecord(ctx, KeptKey(id)); err != nil {
			return err
		}
	}
	return os.RemoveAll(h.path(id))
}

// pruneListings removes the listings that no build since oldest used.
func (h *History) pruneListings(oldest time.Time) error {
	dir := h.listingPath("")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("prune listings: %w", err)
	}
	for _, e := range entries {
		if i, err := e.Info(); err == nil && i.ModTime().Before(oldest) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	return nil
}
