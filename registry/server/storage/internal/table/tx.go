package table

import (
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/registry/server/storage"
)

var _ storage.Tx = (*Tx)(nil)

// Tx collects what an update wants to change.
type Tx struct {
	*Table  // as it was before
	now     time.Time
	Changes []Change
	Limits  []storage.Limit
}

// Begin starts an update.
func (t *Table) Begin() *Tx { return &Tx{Table: t, now: time.Now()} }

func (x *Tx) add(c Change) {
	if c.time == 0 {
		c.time = x.now.UnixNano()
	}
	x.Changes = append(x.Changes, c)
}

// Link gives the repository a blob.
func (x *Tx) Link(l storage.Link) { x.add(linkChange(l)) }

// Unlink takes it away.
func (x *Tx) Unlink(d digest.Digest) { x.add(Change{op: opUnlink, key: pack(d)}) }

// PutManifest adds a manifest.
func (x *Tx) PutManifest(m storage.Manifest) { x.add(manifestChange(m)) }

// DeleteManifest removes a manifest and its tags.
func (x *Tx) DeleteManifest(d digest.Digest) { x.add(Change{op: opDelete, key: pack(d)}) }

// PutTag sets a tag.
func (x *Tx) PutTag(t storage.Tag) {
	x.add(Change{op: opTag, key: pack(t.Digest), name: t.Name, time: nanos(t.Pushed)})
}

// DeleteTag removes a tag.
func (x *Tx) DeleteTag(name string) { x.add(Change{op: opUntag, name: name}) }

// Limit adds a condition.
func (x *Tx) Limit(l storage.Limit) { x.Limits = append(x.Limits, l) }

// Added is the number of bytes that the changes add. It looks at additions only
// if an update has nothing else, as all do that have limits.
func (x *Tx) Added() int64 {
	var n int64
	seen := map[string]bool{}
	for i := range x.Changes {
		c := &x.Changes[i]
		o := x.objects[c.key]
		switch {
		case c.op == opLink && (o == nil || o.linked == 0), c.op == opManifest && (o == nil || o.m == nil):
			if kind := string(rune(c.op)) + c.key; !seen[kind] {
				seen[kind] = true
				n += c.size
			}
		case c.op == opUnlink && o != nil && o.linked != 0, c.op == opDelete && o != nil && o.m != nil:
			n -= o.size
		}
	}
	return n
}
