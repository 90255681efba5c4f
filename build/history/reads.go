//go:build linux

package history

import (
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/fileop"
)

// Reads collect what the steps of one build count by its content, and keep the
// listings of it. They may be used concurrently.
type Reads struct {
	h  *History
	mu sync.Mutex
	by map[digest.Digest][]Read
}

// NewReads makes an empty collection.
func (h *History) NewReads() *Reads { return &Reads{h: h, by: map[digest.Digest][]Read{}} }

// Content says that a step counts by its content what it reads at src in an
// input. The first word about each counts: it is what the key was made of.
// entries is asked only for content that is not listed yet.
func (r *Reads) Content(step digest.Digest, input, index int, src string, sum digest.Digest, entries func() []fileop.Entry) {
	name := listingName(sum, src)
	r.mu.Lock()
	known := slices.ContainsFunc(r.by[step], func(x Read) bool { return x.Input == input && x.Index == index })
	if !known {
		r.by[step] = append(r.by[step], Read{Input: input, Index: index, Digest: string(sum), Listing: name})
	}
	r.mu.Unlock()
	if !known {
		_ = r.h.keepListing(name, entries)
	}
}

// Of gives what a step read, by input and index.
func (r *Reads) Of(step digest.Digest) []Read {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Clone(r.by[step])
	slices.SortFunc(out, func(a, b Read) int {
		if a.Input != b.Input {
			return a.Input - b.Input
		}
		return a.Index - b.Index
	})
	return out
}
