package build

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

// ledger is the store as the solver's cache, and keeps account of the records
// that one build found or made: what the next build would find. A memo holds
// only as long as they are the same, so that it ends with a prune of the cache
// and with a --no-cache build of the same steps.
type ledger struct {
	*store.Store
	mu      sync.Mutex
	records map[store.Key]store.Key
	missing map[store.Key]bool // looked for, and neither found nor made
}

var _ solve.Cache = (*ledger)(nil)

func newLedger(st *store.Store) *ledger {
	return &ledger{Store: st, records: map[store.Key]store.Key{}, missing: map[store.Key]bool{}}
}

// Record implements solve.Cache.
func (l *ledger) Record(ctx context.Context, k store.Key) (*store.Record, error) {
	r, err := l.Store.Record(ctx, k)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.records[k] = outcome(r)
	} else if _, made := l.records[k]; !made && errors.Is(err, errs.ErrNotFound) {
		l.missing[k] = true
	}
	return r, err
}

// PutRecord implements solve.Cache.
func (l *ledger) PutRecord(ctx context.Context, r *store.Record) error {
	if err := l.Store.PutRecord(ctx, r); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[r.Key] = outcome(r)
	delete(l.missing, r.Key)
	return nil
}

// all gives the records by key; ok is false when the outcome of some step was
// not recorded, as when its files were edited while it ran.
func (l *ledger) all() (records map[store.Key]store.Key, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.records), len(l.missing) == 0
}

// same says whether the store has all these records today.
func (l *ledger) same(ctx context.Context, records map[store.Key]store.Key) bool {
	for k, want := range records {
		if r, err := l.Store.Record(ctx, k); err != nil || outcome(r) != want {
			return false
		}
	}
	return true
}

// outcome is what a record says of a step's result.
func outcome(r *store.Record) store.Key {
	parts := []string{string(r.ResultKey)}
	for _, ids := range r.Outputs {
		parts = append(parts, "")
		for _, id := range ids {
			parts = append(parts, string(id))
		}
	}
	return solve.Hash("outcome", parts...)
}
