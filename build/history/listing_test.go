//go:build linux

package history

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/fileop"
)

var listed = []fileop.Entry{
	{Path: "", Mode: unix.S_IFDIR | 0o755},
	{Path: "a b\n\"", Mode: unix.S_IFREG | 0o4755, Owner: fileop.Owner{UID: 7, GID: 8}, Size: 1 << 40, Digest: digest.FromString("x"), Caps: []byte{0, 1, 255}},
	{Path: "l", Mode: unix.S_IFLNK | 0o777, Link: "to \x00\xff there"},
	{Path: "d", Mode: unix.S_IFCHR | 0o600, Rdev: 259},
}

func TestListingRoundTrip(t *testing.T) {
	l, err := decodeListing(encodeListing(listed))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range listed {
		if diff := cmp.Diff(e, l[e.Path]); diff != "" {
			t.Errorf("%q (-want +got):\n%s", e.Path, diff)
		}
	}
}

func TestListingChanges(t *testing.T) {
	base := fileop.Entry{Path: "f", Mode: unix.S_IFREG | 0o644, Digest: "sha256:a"}
	with := func(f func(*fileop.Entry)) Listing {
		e := base
		f(&e)
		return Listing{"f": e}
	}
	for _, tt := range []struct {
		name string
		now  Listing
		want []FileChange
	}{
		{"nothing", with(func(*fileop.Entry) {}), nil},
		{"size and times are not looked at", with(func(e *fileop.Entry) { e.Size = 9 }), nil},
		{"content", with(func(e *fileop.Entry) { e.Digest = "sha256:b" }), []FileChange{{"f", "content changed"}}},
		{"mode", with(func(e *fileop.Entry) { e.Mode = unix.S_IFREG | 0o4755 }), []FileChange{{"f", "mode changed from 0644 to 4755"}}},
		{"owner", with(func(e *fileop.Entry) { e.Owner.UID = 5 }), []FileChange{{"f", "owner changed from 0:0 to 5:0"}}},
		{"type", with(func(e *fileop.Entry) { e.Mode = unix.S_IFDIR | 0o755 }), []FileChange{{"f", "was a file and is a directory"}}},
		{"capabilities", with(func(e *fileop.Entry) { e.Caps = []byte{1} }), []FileChange{{"f", "capabilities changed"}}},
		{"renamed", Listing{"g": base}, []FileChange{{"f", "removed"}, {"g", "added"}}},
	} {
		if diff := cmp.Diff(tt.want, Listing{"f": base}.changes(tt.now)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func FuzzDecodeListing(f *testing.F) {
	f.Add(encodeListing(listed))
	f.Add([]byte(listingHead + "644 0 0 0 0 - - \"\" \"x\"\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := decodeListing(raw)
		if err != nil {
			return
		}
		var entries []fileop.Entry
		for _, e := range l {
			entries = append(entries, e)
		}
		again, err := decodeListing(encodeListing(entries))
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if len(again.changes(l)) > 0 {
			t.Errorf("%v is read again as %v", l, again)
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte(`{"id":"aaaaaaaa111","state":"done"}`), []byte(`{"n":1,"vertex":"v","name":"[1/2] RUN x"}`+"\n"))
	f.Fuzz(func(t *testing.T, meta, lines []byte) {
		_, _ = decodeBuild(meta)
		steps := decodeSteps(lines)
		m := match(steps, decodeSteps(bytes.ToUpper(lines)))
		if len(m.old) != len(m.new) {
			t.Errorf("%d new steps are matched with %d old ones", len(m.old), len(m.new))
		}
	})
}
