package table

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/registry/server/storage"
)

func TestPack(t *testing.T) {
	for _, d := range []digest.Digest{
		digest.FromString("x"), digest.SHA512.FromString("x"), digest.SHA384.FromString("x"), "", "md5:0011", "sha256:tooshort", "sha256:XY",
	} {
		if d == "" {
			continue
		}
		if got := unpack(pack(d)); got != d {
			t.Errorf("%s came back as %s", d, got)
		}
	}
	if n := len(pack(digest.FromString("x"))); n != 33 {
		t.Errorf("%d bytes", n)
	}
}

// full is a table with something of everything.
func full() (*Table, []Change) {
	t := New()
	tx := t.Begin()
	d := func(s string) digest.Digest { return digest.FromString(s) }
	for _, s := range []string{"config", "layer", "idle"} {
		tx.Link(storage.Link{Digest: d(s), Size: int64(len(s))})
	}
	tx.PutManifest(storage.Manifest{Digest: d("m"), Size: 100, MediaType: "type", ArtifactType: "art", Blobs: []digest.Digest{d("config"), d("layer")}})
	tx.PutManifest(storage.Manifest{Digest: d("i"), Size: 10, Manifests: []digest.Digest{d("m"), d("sparse")}, Subject: d("gone")})
	tx.PutTag(storage.Tag{Name: "b", Digest: d("m")})
	tx.PutTag(storage.Tag{Name: "a", Digest: d("i")})
	tx.Changes = append(tx.Changes, Pulled("a", d("i"), time.Now().UnixNano()))
	t.Apply(tx.Changes)
	return t, tx.Changes
}

// state is all that can be read of a table.
func state(t *Table) any {
	var all []any
	all = append(all, t.Usage(), t.Tags(storage.Page{}), t.Links(storage.Page{}), t.Manifests(storage.Page{}),
		t.Referrers(digest.FromString("gone")), t.Users(digest.FromString("layer")), t.Users(digest.FromString("m")))
	for _, m := range t.Manifests(storage.Page{}) {
		one, err := t.Manifest(m.Digest)
		all = append(all, one, err)
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	want, changes := full()
	decoded, err := Decode(nil, string(Append(nil, changes)))
	if err != nil {
		t.Fatal(err)
	}
	got := New()
	got.Apply(decoded)
	if diff := cmp.Diff(state(want), state(got)); diff != "" {
		t.Errorf("from its changes (-want +got):\n%s", diff)
	}
	got = New()
	n := 0
	if err := want.Snapshot(func(part []Change) error {
		n += len(part)
		decoded, err := Decode(nil, string(Append(nil, part)))
		got.Apply(decoded)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state(want), state(got)); diff != "" {
		t.Errorf("from its snapshot (-want +got):\n%s", diff)
	}
	if n > want.Live() {
		t.Errorf("%d changes, %d live", n, want.Live())
	}
}

// TestSnapshotOrder checks that a snapshot makes sense whatever the order of a map.
func TestSnapshotOrder(t *testing.T) {
	want, _ := full()
	for range 20 {
		got := New()
		_ = want.Snapshot(func(part []Change) error {
			got.Apply(part)
			return nil
		})
		if diff := cmp.Diff(state(want), state(got)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	}
}

func TestEmptyAgain(t *testing.T) {
	table, _ := full()
	tx := table.Begin()
	for _, m := range table.Manifests(storage.Page{}) {
		tx.DeleteManifest(m.Digest)
	}
	for _, l := range table.Links(storage.Page{}) {
		tx.Unlink(l.Digest)
	}
	if got := tx.After(); got != (storage.Usage{}) {
		t.Errorf("after: %+v", got)
	}
	table.Apply(tx.Changes)
	if !table.Empty() || len(table.objects)+len(table.tags)+len(table.subjects) > 0 {
		t.Errorf("left: %+v, %d objects, %d tags", table.Usage(), len(table.objects), len(table.tags))
	}
}

// TestAfter holds what Tx foretells against what comes.
func TestAfter(t *testing.T) {
	table, _ := full()
	d := digest.FromString
	for name, f := range map[string]func(*Tx){
		"link again": func(x *Tx) { x.Link(storage.Link{Digest: d("layer"), Size: 5}) },
		"link twice": func(x *Tx) {
			x.Link(storage.Link{Digest: d("new"), Size: 5})
			x.Link(storage.Link{Digest: d("new"), Size: 5})
		},
		"manifest again": func(x *Tx) { x.PutManifest(storage.Manifest{Digest: d("m"), Size: 100}) },
		"manifest, tags": func(x *Tx) {
			x.PutManifest(storage.Manifest{Digest: d("n"), Size: 7})
			x.PutTag(storage.Tag{Name: "b", Digest: d("n")})
			x.PutTag(storage.Tag{Name: "c", Digest: d("n")})
		},
		"delete":        func(x *Tx) { x.DeleteManifest(d("m")) },
		"delete nobody": func(x *Tx) { x.DeleteManifest(d("x")); x.Unlink(d("x")); x.DeleteTag("x") },
		"untag, unlink": func(x *Tx) { x.DeleteTag("a"); x.Unlink(d("idle")) },
	} {
		tx := table.Begin()
		f(tx)
		want := tx.After()
		table.Apply(tx.Changes)
		if got := table.Usage(); got != want {
			t.Errorf("%s: %+v, foretold %+v", name, got, want)
		}
		table, _ = full()
	}
}

func FuzzDecode(f *testing.F) {
	_, changes := full()
	f.Add(Append(nil, changes))
	f.Add([]byte("m\x01"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		changes, err := Decode(nil, string(raw))
		if err != nil {
			return
		}
		table := New()
		table.Apply(changes)
		_ = state(table)
		again, err := Decode(nil, string(Append(nil, changes)))
		if err != nil || len(again) != len(changes) {
			t.Errorf("%d changes came back as %d, %v", len(changes), len(again), err)
		}
	})
}
