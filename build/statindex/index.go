//go:build linux

package statindex

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// An Index remembers the digests of files. It implements fileop.Digester, and
// may be used concurrently.
type Index struct {
	old  table
	used []atomic.Bool // of old: asked for and unchanged in this life

	mu      sync.RWMutex
	fresh   map[string]record // hashed in this life
	now     func() time.Time
	changed bool
}

// Open reads an index that Marshal wrote; nil is a new one. Bytes that are
// damaged or of another version are not an error: the index is then empty, and
// dirty. The bytes belong to the index from now on.
func Open(load []byte) (*Index, error) {
	x := &Index{fresh: map[string]record{}, now: time.Now}
	if len(load) == 0 {
		return x, nil
	}
	t, ok := decode(load)
	if !ok {
		x.changed = true
		return x, nil
	}
	x.old, x.used = t, make([]atomic.Bool, t.len())
	return x, nil
}

// FileDigest gives the digest of the regular file at path, whose stat is st:
// from memory when st is as it was, else by reading what open opens.
func (x *Index) FileDigest(path string, st *unix.Stat_t, open func() (*os.File, error)) (digest.Digest, error) {
	id := identify(st)
	if sum, ok := x.lookup(path, &id); ok {
		return sum.digest(), nil
	}
	began := x.now()
	f, err := open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %q: %w", path, err)
	}
	var s sum
	h.Sum(s[:0])
	var after unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &after); err == nil && identify(&after) == id && settled(st, began) {
		x.mu.Lock()
		x.fresh[path] = record{identity: id, sum: s}
		x.changed = true
		x.mu.Unlock()
	}
	return s.digest(), nil
}

func (x *Index) lookup(path string, id *identity) (sum, bool) {
	if i, ok := x.old.find(path); ok {
		if r := x.old.record(i); r.identity == *id {
			x.used[i].Store(true)
			return r.sum, true
		}
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	r, ok := x.fresh[path]
	return r.sum, ok && r.identity == *id
}

// Dirty tells whether Marshal would give something else than was opened.
func (x *Index) Dirty() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.changed
}

// maxAge is how many times an index is written before a file that nobody asked
// for is forgotten.
const maxAge = 16

// Marshal gives the index for a later Open: what was hashed, and what was there
// and is not too old.
func (x *Index) Marshal() []byte {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make([]named, 0, x.old.len()+len(x.fresh))
	for path, r := range x.fresh {
		all = append(all, named{path, r})
	}
	for i := range x.old.len() {
		path := x.old.path(i)
		if _, ok := x.fresh[path]; ok {
			continue
		}
		r := x.old.record(i)
		if x.used[i].Load() {
			r.age = 0
		} else if r.age++; r.age > maxAge {
			continue
		}
		all = append(all, named{path, r})
	}
	return encode(all)
}

// identity is what stat says about a file that changes when its bytes do.
type identity struct {
	size, mtime, ctime int64 // times in nanoseconds
	ino, dev           uint64
	mode, uid, gid     uint32
}

func identify(st *unix.Stat_t) identity {
	return identity{
		size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
		ino: st.Ino, dev: st.Dev, mode: st.Mode, uid: st.Uid, gid: st.Gid,
	}
}

// settled tells whether a write after began must show in the times of st. The
// kernel stamps files with a clock that ticks every 1 to 10 ms; some file
// systems keep whole seconds, or two.
func settled(st *unix.Stat_t, began time.Time) bool {
	slack := 20 * time.Millisecond
	if st.Mtim.Nsec == 0 && st.Ctim.Nsec == 0 {
		slack = 2 * time.Second
	}
	limit := began.Add(-slack).UnixNano()
	return st.Mtim.Nano() < limit && st.Ctim.Nano() < limit
}

// sum is the SHA-256 of a file's bytes.
type sum [sha256.Size]byte

func (s sum) digest() digest.Digest {
	text := append(make([]byte, 0, 71), "sha256:"...)
	return digest.Digest(hex.AppendEncode(text, s[:]))
}
