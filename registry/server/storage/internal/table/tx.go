package table

import (
	"slices"
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
	publish []func() error
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

// Publish adds what is to be done before the changes are made.
func (x *Tx) Publish(f func() error) { x.publish = append(x.publish, f) }

// DoPublish does it.
func (x *Tx) DoPublish() error {
	for _, f := range x.publish {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// Removes says whether the changes only take things away.
func (x *Tx) Removes() bool {
	return !slices.ContainsFunc(x.Changes, func(c Change) bool {
		return c.op != opUnlink && c.op != opDelete && c.op != opUntag
	})
}

// Added is the number of bytes that the changes add.
func (x *Tx) Added() int64 { return x.After().Bytes - x.usage.Bytes }

// After is what there will be. What one update both adds and removes is not
// looked at closely: no update does.
func (x *Tx) After() storage.Usage {
	u := x.usage
	seen := map[string]bool{}
	for i := range x.Changes {
		c := &x.Changes[i]
		kind := string(rune(c.op)) + c.key + "/" + c.name
		if seen[kind] {
			continue
		}
		seen[kind] = true
		x.count(&u, c)
	}
	return u
}

func (x *Tx) count(u *storage.Usage, c *Change) {
	o := x.objects[c.key]
	switch {
	case c.op == opLink && (o == nil || o.linked == 0):
		u.Blobs++
		u.Bytes += c.size
	case c.op == opManifest && (o == nil || o.m == nil):
		u.Manifests++
		u.Bytes += c.size
	case c.op == opTag && x.tags[c.name] == nil:
		u.Tags++
	case c.op == opUnlink && o != nil && o.linked != 0:
		u.Blobs--
		u.Bytes -= o.size
	case c.op == opDelete && o != nil && o.m != nil:
		u.Manifests--
		u.Bytes -= o.size
		u.Tags -= int(o.tags)
	case c.op == opUntag && x.tags[c.name] != nil:
		u.Tags--
	}
}
