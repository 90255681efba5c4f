package build

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/build/statindex"
	"github.com/mica-build/mica/store"
)

// indexes are the stat indexes of the live directories of one build: what the
// files' content was when they were last hashed.
type indexes struct {
	store *store.Store
	mu    sync.Mutex
	open  map[string]*statindex.Index
}

func newIndexes(st *store.Store) *indexes {
	return &indexes{store: st, open: map[string]*statindex.Index{}}
}

// of loads the index of dir. One that is damaged or missing is an empty one.
func (x *indexes) of(dir string) fileop.Digester {
	x.mu.Lock()
	defer x.mu.Unlock()
	if i, ok := x.open[dir]; ok {
		return i
	}
	raw, _ := x.store.State(indexName(dir))
	i, err := statindex.Open(raw)
	if err != nil {
		i, _ = statindex.Open(nil)
	}
	x.open[dir] = i
	return i
}

// save writes the indexes that learnt something. They only save time, so a
// failure to write is not one of the build.
func (x *indexes) save() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for dir, i := range x.open {
		if i.Dirty() {
			_ = x.store.PutState(indexName(dir), i.Marshal())
		}
	}
}

func indexName(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return "stat/" + hex.EncodeToString(sum[:16])
}

func (s *session) saveIndexes() { s.indexes.save() }
