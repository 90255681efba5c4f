// Package table is one repository's index in memory, and the changes by which it
// comes about: what the indexes in memory and in files have in common.
//
// A Table is not safe for concurrent use; whoever owns it locks.
package table

import (
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/registry/server/storage"
)

// Table is a repository. There may be many, and large ones: digests are kept once
// and in binary.
type Table struct {
	objects  map[string]*object   // by packed digest
	tags     map[string]*tag      // by name
	subjects map[string][]*object // the manifests that refer to a digest
	names    []string             // of tags, sorted; nil when not asked for since it was loaded; never changed in place
	usage    storage.Usage
}

// An object is a blob, a manifest, or something that a manifest needs and that
// may not be there.
type object struct {
	key    string // packed digest
	size   int64
	linked int64 // nanoseconds; 0 where there is no link
	users  int32 // manifests that need it
	tags   int32
	m      *manifest
}

type manifest struct {
	mediaType, artifactType string
	subject                 string // packed
	blobs, manifests        []*object
	pushed, pulled          int64
}

type tag struct {
	target         *object
	pushed, pulled int64
}

// New makes an empty table.
func New() *Table {
	return &Table{objects: map[string]*object{}, tags: map[string]*tag{}, subjects: map[string][]*object{}}
}

// Usage says how much the repository has.
func (t *Table) Usage() storage.Usage { return t.usage }

// Empty says that there is nothing in it.
func (t *Table) Empty() bool { return t.usage == storage.Usage{} }

// Weight is roughly the number of bytes of memory that the table takes.
func (t *Table) Weight() int { return 1<<10 + len(t.objects)*320 + len(t.tags)*200 }

// Live is the number of changes that make the table what it is.
func (t *Table) Live() int { return t.usage.Blobs + 2*t.usage.Manifests + 2*t.usage.Tags }

// need is the object for a digest, which is made if need be.
func (t *Table) need(key string) *object {
	o := t.objects[key]
	if o == nil {
		o = &object{key: strings.Clone(key)}
		t.objects[o.key] = o
	}
	return o
}

// drop forgets an object that nothing holds any more.
func (t *Table) drop(o *object) {
	if o.linked == 0 && o.m == nil && o.users == 0 {
		delete(t.objects, o.key)
	}
}

// Apply makes the changes.
func (t *Table) Apply(changes []Change) {
	for i := range changes {
		t.apply(&changes[i])
	}
}

func (t *Table) apply(c *Change) {
	switch c.op {
	case opLink:
		t.link(c)
	case opUnlink:
		t.unlink(c.key)
	case opManifest:
		t.putManifest(c)
	case opDelete:
		t.deleteManifest(c.key)
	case opTag:
		t.putTag(c)
	case opUntag:
		t.deleteTag(c.name)
	case opPulled:
		t.pulled(c)
	}
}

func (t *Table) link(c *Change) {
	o := t.need(c.key)
	if o.linked == 0 {
		t.usage.Blobs++
		t.usage.Bytes += c.size
	} else {
		t.usage.Bytes += c.size - o.size
	}
	o.size, o.linked = c.size, max(c.time, 1)
}

func (t *Table) unlink(key string) {
	o := t.objects[key]
	if o == nil || o.linked == 0 {
		return
	}
	t.usage.Blobs--
	t.usage.Bytes -= o.size
	o.linked = 0
	t.drop(o)
}

func (t *Table) putManifest(c *Change) {
	o := t.need(c.key)
	if o.m != nil { // pushed again: the same bytes
		o.m.pushed = c.time
		return
	}
	m := &manifest{mediaType: c.mediaType, artifactType: c.artifactType, subject: c.subject, pushed: c.time}
	m.blobs, m.manifests = t.hold(c.blobs), t.hold(c.manifests)
	if m.subject != "" {
		m.subject = strings.Clone(m.subject)
		t.subjects[m.subject] = append(t.subjects[m.subject], o)
	}
	if o.linked == 0 {
		o.size = c.size
	}
	o.m = m
	t.usage.Manifests++
	t.usage.Bytes += o.size
}

// hold notes that a manifest needs what keys name.
func (t *Table) hold(keys []string) []*object {
	if len(keys) == 0 {
		return nil
	}
	out := make([]*object, len(keys))
	for i, key := range keys {
		out[i] = t.need(key)
		out[i].users++
	}
	return out
}

func (t *Table) deleteManifest(key string) {
	o := t.objects[key]
	if o == nil || o.m == nil {
		return
	}
	if o.tags > 0 {
		for name, tag := range t.tags {
			if tag.target == o {
				t.deleteTag(name)
			}
		}
	}
	m := o.m
	if m.subject != "" {
		rest := slices.DeleteFunc(t.subjects[m.subject], func(r *object) bool { return r == o })
		if t.subjects[m.subject] = rest; len(rest) == 0 {
			delete(t.subjects, m.subject)
		}
	}
	t.usage.Manifests--
	t.usage.Bytes -= o.size
	o.m = nil
	for _, list := range [][]*object{m.blobs, m.manifests} {
		for _, used := range list {
			used.users--
			t.drop(used)
		}
	}
	t.drop(o)
}

func (t *Table) putTag(c *Change) {
	o := t.objects[c.key]
	if o == nil || o.m == nil {
		return // it was deleted in the same update
	}
	old := t.tags[c.name]
	if old == nil {
		name := strings.Clone(c.name)
		t.usage.Tags++
		t.tags[name] = &tag{target: o, pushed: c.time}
		if t.names != nil {
			i, _ := slices.BinarySearch(t.names, name)
			t.names = slices.Insert(slices.Clip(t.names), i, name) // a new list: others may read the old one
		}
		o.tags++
		return
	}
	old.target.tags--
	o.tags++
	if old.target != o {
		*old = tag{target: o}
	}
	old.pushed = c.time
}

func (t *Table) deleteTag(name string) {
	old := t.tags[name]
	if old == nil {
		return
	}
	delete(t.tags, name)
	old.target.tags--
	t.usage.Tags--
	t.names = nil
}

func (t *Table) pulled(c *Change) {
	if o := t.objects[c.key]; o != nil && o.m != nil {
		o.m.pulled = max(o.m.pulled, c.time)
	}
	if tag := t.tags[c.name]; tag != nil && tag.target.key == c.key {
		tag.pulled = max(tag.pulled, c.time)
	}
}

func stamp(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

func nanos(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixNano()
}

func digests(list []*object) []digest.Digest {
	out := make([]digest.Digest, len(list))
	for i, o := range list {
		out[i] = unpack(o.key)
	}
	return out
}
