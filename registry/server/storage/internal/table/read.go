package table

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

// Blob finds a link.
func (t *Table) Blob(d digest.Digest) (storage.Link, error) {
	o := t.objects[pack(d)]
	if o == nil || o.linked == 0 {
		return storage.Link{}, fmt.Errorf("blob %s: %w", d, errs.ErrNotFound)
	}
	return o.link(d), nil
}

func (o *object) link(d digest.Digest) storage.Link {
	return storage.Link{Digest: d, Size: o.size, Linked: stamp(o.linked), Users: int(o.users)}
}

// Manifest finds a manifest.
func (t *Table) Manifest(d digest.Digest) (storage.Manifest, error) {
	o := t.objects[pack(d)]
	if o == nil || o.m == nil {
		return storage.Manifest{}, fmt.Errorf("manifest %s: %w", d, errs.ErrNotFound)
	}
	m := o.manifest(d)
	m.Blobs, m.Manifests = digests(o.m.blobs), digests(o.m.manifests)
	return m, nil
}

// manifest is what lists give.
func (o *object) manifest(d digest.Digest) storage.Manifest {
	m := storage.Manifest{
		Digest: d, MediaType: o.m.mediaType, Size: o.size, ArtifactType: o.m.artifactType,
		Pushed: stamp(o.m.pushed), Pulled: stamp(o.m.pulled), Tags: int(o.tags), Users: int(o.users),
	}
	if o.m.subject != "" {
		m.Subject = unpack(o.m.subject)
	}
	return m
}

// Tag finds a tag.
func (t *Table) Tag(name string) (storage.Tag, error) {
	tag := t.tags[name]
	if tag == nil {
		return storage.Tag{}, fmt.Errorf("tag %s: %w", name, errs.ErrNotFound)
	}
	return tag.as(name), nil
}

func (t *tag) as(name string) storage.Tag {
	return storage.Tag{Name: name, Digest: unpack(t.target.key), Pushed: stamp(t.pushed), Pulled: stamp(t.pulled)}
}

// TagsOf lists the tags on a manifest.
func (t *Table) TagsOf(d digest.Digest) []storage.Tag {
	o := t.objects[pack(d)]
	if o == nil || o.tags == 0 {
		return nil
	}
	var out []storage.Tag
	for name, tag := range t.tags {
		if tag.target == o {
			out = append(out, tag.as(name))
		}
	}
	slices.SortFunc(out, func(a, b storage.Tag) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Users lists the manifests that need d.
func (t *Table) Users(d digest.Digest) []digest.Digest {
	o := t.objects[pack(d)]
	if o == nil || o.users == 0 {
		return nil
	}
	var out []digest.Digest
	for key, user := range t.objects {
		if user.m != nil && (slices.Contains(user.m.blobs, o) || slices.Contains(user.m.manifests, o)) {
			out = append(out, unpack(key))
		}
	}
	slices.Sort(out)
	return out
}

// NamesReady says whether TagNames only reads, so that a shared lock is enough.
func (t *Table) NamesReady() bool { return t.names != nil }

// TagNames lists the names of tags.
func (t *Table) TagNames(p storage.Page) []string {
	if t.names == nil {
		t.names = make([]string, 0, len(t.tags))
		for name := range t.tags {
			t.names = append(t.names, name)
		}
		slices.Sort(t.names)
	}
	return Cut(t.names, p, func(s string) string { return s })
}

// Tags lists tags.
func (t *Table) Tags(p storage.Page) []storage.Tag {
	var out []storage.Tag
	for _, name := range t.TagNames(p) {
		out = append(out, t.tags[name].as(name))
	}
	return out
}

// Manifests lists manifests.
func (t *Table) Manifests(p storage.Page) []storage.Manifest {
	var out []storage.Manifest
	for key, o := range t.objects {
		if o.m != nil {
			out = append(out, o.manifest(unpack(key)))
		}
	}
	return sorted(out, p, func(m storage.Manifest) string { return string(m.Digest) })
}

// Links lists blobs.
func (t *Table) Links(p storage.Page) []storage.Link {
	var out []storage.Link
	for key, o := range t.objects {
		if o.linked != 0 {
			out = append(out, o.link(unpack(key)))
		}
	}
	return sorted(out, p, func(l storage.Link) string { return string(l.Digest) })
}

// Referrers lists the manifests whose subject is d.
func (t *Table) Referrers(d digest.Digest) []storage.Manifest {
	var out []storage.Manifest
	for _, o := range t.subjects[pack(d)] {
		out = append(out, o.manifest(unpack(o.key)))
	}
	return sorted(out, storage.Page{}, func(m storage.Manifest) string { return string(m.Digest) })
}

// Uses calls f for everything that the repository has.
func (t *Table) Uses(repo string, f func(storage.Use)) {
	for key, o := range t.objects {
		if o.linked != 0 {
			f(storage.Use{Repository: repo, Digest: unpack(key), Blob: true})
		}
		if o.m != nil {
			f(storage.Use{Repository: repo, Digest: unpack(key)})
		}
	}
}

func sorted[E any](list []E, p storage.Page, key func(E) string) []E {
	slices.SortFunc(list, func(a, b E) int { return strings.Compare(key(a), key(b)) })
	return Cut(list, p, key)
}

// Cut gives a page of a sorted list.
func Cut[E any](list []E, p storage.Page, key func(E) string) []E {
	if p.Last != "" {
		i, found := slices.BinarySearchFunc(list, p.Last, func(e E, last string) int { return strings.Compare(key(e), last) })
		if found {
			i++
		}
		list = list[i:]
	}
	if p.N > 0 && len(list) > p.N {
		list = list[:p.N]
	}
	return list[:len(list):len(list)]
}
