package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/store"
)

func TestGCBounds(t *testing.T) {
	const gb = int64(1e9)
	tests := []struct {
		name                 string
		gc                   GC
		disk                 int64
		reserved, used, free int64
	}{
		{"default, small disk", GC{}, 10 << 30, 2 * gb, 9 * gb, 3 * gb},
		{"default, large disk", GC{}, 1000 << 30, 10 * gb, 100 * gb, 201 * gb},
		{"one bound replaces all", GC{MaxUsedSpace: Space{Bytes: 5}}, 1000 << 30, 0, 5, 0},
		{"percent", GC{MinFreeSpace: Space{Percent: 10}}, 100 << 30, 0, 0, 11 * gb},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, u, f := tt.gc.bounds(tt.disk)
			if r != tt.reserved || u != tt.used || f != tt.free {
				t.Errorf("bounds %d, %d, %d; want %d, %d, %d", r, u, f, tt.reserved, tt.used, tt.free)
			}
		})
	}
}

// chain makes records a, ab, abc ...: each lies on the one before and adds 100 kB.
// They were last used so many hours ago.
func chain(t *testing.T, s *store.Store, name string, hours ...int) {
	t.Helper()
	var stack []store.LayerID
	for i, h := range hours {
		d, err := s.NewLayer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d.Dir, "f"), make([]byte, 100_000), 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := d.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stack = append(stack, l.ID)
		key := strings.Repeat(name, i+1)
		r := &store.Record{Key: store.Key(key), Type: "regular", Outputs: [][]store.LayerID{stack}}
		if err := s.PutRecord(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(s.Root(), "records", key[:min(2, len(key))], key)
		at := time.Now().Add(-time.Duration(h) * time.Hour)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPruneOrder(t *testing.T) {
	testenv.Root(t)
	tests := []struct {
		name string
		o    CachePruneOptions
		want []string
	}{
		{"everything", CachePruneOptions{}, []string{"bb", "b", "aaa", "aa", "a", "cc", "c"}},
		{"nothing is too much", CachePruneOptions{MaxUsedSpace: 1e6}, nil},
		{"least recently used first, children first", CachePruneOptions{MaxUsedSpace: 480_000}, []string{"bb", "b", "aaa"}},
		{"at least", CachePruneOptions{MaxUsedSpace: 1, ReservedSpace: 480_000}, []string{"bb", "b", "aaa"}},
		{"older", CachePruneOptions{Until: time.Now().Add(-20 * time.Hour)}, []string{"bb", "b"}},
		{"filter", CachePruneOptions{Filter: func(c CacheEntry) bool { return c.ID == "cc" }}, []string{"cc"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			maker, err := store.Open(dir, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			chain(t, maker, "a", 50, 40, 10) // what lies below was used when what lies above was
			chain(t, maker, "b", 30, 30)
			chain(t, maker, "c", 60, 2)
			if err := maker.Close(); err != nil {
				t.Fatal(err)
			}
			e, err := Open(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			tt.o.DryRun = true
			would, wouldFree, err := e.PruneCache(t.Context(), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			tt.o.DryRun = false
			did, freed, err := e.PruneCache(t.Context(), tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(would, did); diff != "" || wouldFree != freed {
				t.Errorf("would free %d, freed %d; a dry run and the run differ:\n%s", wouldFree, freed, diff)
			}
			var ids []string
			sum := int64(0)
			for _, c := range did {
				ids = append(ids, c.ID)
				sum += c.Size
			}
			if diff := cmp.Diff(tt.want, ids); diff != "" || sum != freed {
				t.Errorf("entries of %d bytes, %d freed (-want +got):\n%s", sum, freed, diff)
			}
		})
	}
}

// TestPruneLeavesWhatIsUsed checks that a cap does not take what a running mica has.
func TestPruneLeavesWhatIsUsed(t *testing.T) {
	testenv.Root(t)
	dir := filepath.Join(t.TempDir(), "store")
	maker, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer maker.Close()
	chain(t, maker, "a", 50, 40)
	e, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if gone, n, err := e.PruneCache(t.Context(), CachePruneOptions{All: true, MaxUsedSpace: 1}); err != nil || len(gone) > 0 || n > 0 {
		t.Errorf("removed %+v, %d bytes, %v; want nothing", gone, n, err)
	}
	list, err := e.BuildCache(t.Context())
	if err != nil || len(list) != 2 || !list[0].InUse {
		t.Errorf("cache %+v, %v; want two entries in use", list, err)
	}
}

// TestCollector checks that the cap holds over several processes' lives.
func TestCollector(t *testing.T) {
	testenv.Root(t)
	dir := filepath.Join(t.TempDir(), "store")
	for i := range 8 {
		c := NewCollector(GC{MaxUsedSpace: Space{Bytes: 350_000}})
		e, err := Open(dir, Options{Store: store.Options{Committed: c.Committed}})
		if err != nil {
			t.Fatal(err)
		}
		c.Start(e)
		chain(t, e.Store(), string(rune('a'+i)), 50-i)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		u, err := s.Usage(t.Context())
		if err != nil || u.Layers > 370_000 {
			t.Errorf("after %d builds: %+v, %v; want no more than the cap", i+1, u, err)
		}
		s.Close()
	}
}
