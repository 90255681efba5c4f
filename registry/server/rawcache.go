package server

import (
	"container/list"
	"sync"

	"github.com/opencontainers/go-digest"
)

// maxRaw bounds the bytes of a rawCache, maxRawOne those of a manifest in it.
const (
	maxRaw    = 8 << 20
	maxRawOne = 256 << 10
)

// A rawCache keeps the bytes of manifests that were used last. Which repository
// may see them is not its matter.
type rawCache struct {
	mu    sync.Mutex
	byKey map[digest.Digest]*list.Element
	order list.List // of *rawEntry, the last used first
	bytes int
}

type rawEntry struct {
	d   digest.Digest
	raw []byte
}

func newRawCache() *rawCache { return &rawCache{byKey: map[digest.Digest]*list.Element{}} }

func (c *rawCache) get(d digest.Digest) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[d]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*rawEntry).raw
}

func (c *rawCache) put(d digest.Digest, raw []byte) {
	if len(raw) > maxRawOne {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[d] != nil {
		return
	}
	c.byKey[d] = c.order.PushFront(&rawEntry{d, raw})
	for c.bytes += len(raw); c.bytes > maxRaw; {
		last := c.order.Back()
		old := c.order.Remove(last).(*rawEntry)
		delete(c.byKey, old.d)
		c.bytes -= len(old.raw)
	}
}
