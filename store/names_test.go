//go:build linux

package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// target stores an index that nobody else has.
func target(t testing.TB, s *Store, text string) image.Descriptor {
	t.Helper()
	d, err := s.WriteBlob(t.Context(), image.MediaTypeIndex, fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[],"annotations":{"is":%q}}`, text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// names lists "ref text", with the text that target was made of.
func names(t testing.TB, s *Store, targets map[string]image.Descriptor) []string {
	t.Helper()
	list, err := s.Names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := map[digest.Digest]string{}
	for name, d := range targets {
		text[d.Digest] = name
	}
	out := []string{}
	for _, n := range list {
		out = append(out, strings.TrimSpace(n.Ref+" "+text[n.Target.Digest]))
	}
	return out
}

// TestTag follows what becomes of targets. A step is "tag REF TARGET", "untag REF",
// "drop REF" (untag and do not keep) or "forget TARGET"; REF "-" is none.
func TestTag(t *testing.T) {
	tests := []struct {
		name  string
		steps []string
		want  []string
	}{
		{"two names", []string{"tag b one", "tag a one"}, []string{"a one", "b one"}},
		{"a name moves, the old target dangles", []string{"tag a one", "tag a two"}, []string{"one", "a two"}},
		{"a name moves, the old target has another", []string{"tag a one", "tag b one", "tag a two"}, []string{"a two", "b one"}},
		{"the same again", []string{"tag a one", "tag a one"}, []string{"a one"}},
		{"a dangling target is named", []string{"tag a one", "tag a two", "tag b one"}, []string{"a two", "b one"}},
		{"kept without a name", []string{"tag - one", "tag - one"}, []string{"one"}},
		{"kept although it has a name", []string{"tag a one", "tag - one"}, []string{"a one"}},
		{"untag keeps", []string{"tag a one", "untag a"}, []string{"one"}},
		{"untag with another name left", []string{"tag a one", "tag b one", "untag a"}, []string{"b one"}},
		{"drop", []string{"tag a one", "tag b two", "drop a"}, []string{"b two"}},
		{"forget a named one", []string{"tag a one", "tag b one", "tag c two", "forget one"}, []string{"c two"}},
		{"forget a dangling one", []string{"tag - one", "forget one"}, []string{}},
		{"forget nothing", []string{"tag a one", "forget two"}, []string{"a one"}},
		{"swap back", []string{"tag a one", "tag a two", "tag a one"}, []string{"two", "a one"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, "")
			targets := map[string]image.Descriptor{"one": target(t, s, "one"), "two": target(t, s, "two")}
			for _, step := range tt.steps {
				if err := runStep(t, s, targets, step); err != nil {
					t.Fatalf("%s: %v", step, err)
				}
			}
			for _, h := range []*Store{s, open(t, s.Root())} {
				if diff := cmp.Diff(tt.want, names(t, h, targets)); diff != "" {
					t.Errorf("names (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func runStep(t *testing.T, s *Store, targets map[string]image.Descriptor, step string) error {
	f := append(strings.Fields(step), "")
	switch f[0] {
	case "tag":
		return s.Tag(t.Context(), strings.TrimPrefix(f[1], "-"), targets[f[2]])
	case "untag", "drop":
		return s.Untag(t.Context(), f[1], f[0] == "untag")
	case "forget":
		return s.Forget(t.Context(), targets[f[1]].Digest)
	}
	return fmt.Errorf("unknown step %q", step)
}

func TestUntagAbsent(t *testing.T) {
	s := open(t, "")
	if err := s.Untag(t.Context(), "absent", true); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("error %v, want ErrNotFound", err)
	}
}

func TestNamesAreCopies(t *testing.T) {
	s := open(t, "")
	if err := s.Tag(t.Context(), "a", target(t, s, "one")); err != nil {
		t.Fatal(err)
	}
	list, err := s.Names(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list[0].Ref = "changed"
	if again, err := s.Names(t.Context()); err != nil || again[0].Ref != "a" {
		t.Errorf("the store's own list was changed: %v, %v", again, err)
	}
}

// TestTornLog damages the end of the log in every way a dying writer, or power
// loss, may, and goes on.
func TestTornLog(t *testing.T) {
	s := open(t, "")
	targets := map[string]image.Descriptor{"one": target(t, s, "one"), "two": target(t, s, "two")}
	if err := runStep(t, s, targets, "tag a one"); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(s.Root(), "names.log")
	good, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := runStep(t, s, targets, "tag b two"); err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{
		"zeros":      append(good[:len(good):len(good)], make([]byte, 4096)...),
		"flipped":    append(all[:len(all)-1:len(all)-1], all[len(all)-1]^1),
		"big length": append(good[:len(good):len(good)], 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1),
	}
	for n := len(good) + 1; n < len(all); n++ {
		damaged[fmt.Sprint("cut at ", n)] = all[:n]
	}
	for name, data := range damaged {
		if err := os.WriteFile(log, data, 0o600); err != nil {
			t.Fatal(err)
		}
		fresh := open(t, s.Root())
		if diff := cmp.Diff([]string{"a one"}, names(t, fresh, targets)); diff != "" {
			t.Errorf("%s: names (-want +got):\n%s", name, diff)
		}
		if err := runStep(t, fresh, targets, "tag c two"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, h := range []*Store{fresh, open(t, s.Root())} {
			if diff := cmp.Diff([]string{"a one", "c two"}, names(t, h, targets)); diff != "" {
				t.Errorf("%s: names after the next tag (-want +got):\n%s", name, diff)
			}
		}
	}
}

// TestEmptyLog checks that a log whose first writer died counts as empty.
func TestEmptyLog(t *testing.T) {
	s := open(t, "")
	if err := os.WriteFile(filepath.Join(s.Root(), "names.log"), []byte("MICA"), 0o600); err != nil {
		t.Fatal(err)
	}
	targets := map[string]image.Descriptor{"one": target(t, s, "one")}
	if diff := cmp.Diff([]string{}, names(t, s, targets)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if err := runStep(t, s, targets, "tag a one"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a one"}, names(t, open(t, s.Root()), targets)); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestCompaction checks that the log does not grow for ever, and that handles
// which read it before go on.
func TestCompaction(t *testing.T) {
	s := open(t, "")
	reader := open(t, s.Root())
	targets := map[string]image.Descriptor{"one": target(t, s, "one"), "two": target(t, s, "two")}
	for i := range 3000 {
		if err := runStep(t, s, targets, fmt.Sprintf("tag %c one", 'a'+i%3)); err != nil {
			t.Fatal(err)
		}
		if i%500 == 0 {
			names(t, reader, targets)
		}
	}
	st, err := os.Stat(filepath.Join(s.Root(), "names.log"))
	if err != nil {
		t.Fatal(err)
	}
	if st.Size() > 300_000 {
		t.Errorf("the log has %d bytes for three names", st.Size())
	}
	for _, h := range []*Store{s, reader, open(t, s.Root())} {
		if diff := cmp.Diff([]string{"a one", "b one", "c one"}, names(t, h, targets)); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	now := time.Unix(0, time.Now().UnixNano())
	d := image.NewDescriptor(image.MediaTypeManifest, []byte("x"))
	full := d
	full.Annotations = map[string]string{"a": "b"}
	full.Platform = &image.Platform{OS: "linux", Architecture: "arm64"}
	want := []change{
		{op: opSet, name: Name{Ref: "docker.io/library/app:latest", Target: d, Updated: now}},
		{op: opSet, name: Name{Ref: "r", Target: full, Updated: now}},
		{op: opDelete, name: Name{Ref: "gone"}},
		{op: opKeep, name: Name{Target: d, Updated: now}},
		{op: opForget, gone: d.Digest},
	}
	b, err := encodeRecord(want)
	if err != nil {
		t.Fatal(err)
	}
	size := nextRecord(b)
	if size != len(b) {
		t.Fatalf("record of %d bytes read as %d", len(b), size)
	}
	got, err := decodeChanges(nil, string(b[recordHeader:]))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(change{}), cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func FuzzNamesLog(f *testing.F) {
	d := image.NewDescriptor(image.MediaTypeManifest, []byte("x"))
	b, err := encodeRecord([]change{{op: opSet, name: Name{Ref: "a", Target: d, Updated: time.Unix(1, 0)}}, {op: opDelete, name: Name{Ref: "a"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, string(b[recordHeader:]))
	f.Add([]byte{}, "k\x01\x05\x03a:b\x00\x02{}")
	f.Add(b[:len(b)-3], "f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
	f.Fuzz(func(t *testing.T, log []byte, payload string) {
		table := newNameTable(0)
		if good := table.replay(log); good < 0 || good > len(log) {
			t.Fatalf("replay of %d bytes used %d", len(log), good)
		}
		changes, err := decodeChanges(nil, payload)
		if err != nil || len(changes) == 0 {
			return
		}
		// What was understood can be written, and reads the same.
		b, err := encodeRecord(changes)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeChanges(nil, string(b[recordHeader:nextRecord(b)]))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(changes, again, cmp.AllowUnexported(change{}), cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("changes (-first +again):\n%s", diff)
		}
	})
}
