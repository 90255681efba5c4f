//go:build linux

package fileop

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/internal/testenv"
)

func entryLines(list []Entry) []string {
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s %o %d:%d %d %s%s", e.Path, e.Mode, e.Owner.UID, e.Owner.GID, e.Size, e.Link, e.Digest))
	}
	slices.Sort(out)
	return out
}

// The entries are those that the digest was made of.
func TestCopyContent(t *testing.T) {
	testenv.Root(t)
	root := plant(t, "d/a 640 7:8 =A", "d/e/b 644 =B", "d/l -> a", "d/skip.o =x", "z =Z")
	src := &Source{Dir: open(t, root), Exclude: []string{"**/*.o"}}
	c, err := CopyContent(context.Background(), src, dockerCopy("/d", "/"))
	if err != nil {
		t.Fatal(err)
	}
	if want := digestOf(t, root, dockerCopy("/d", "/"), true, "**/*.o"); c.Digest != want {
		t.Errorf("digest is %s, that of Digest %s", c.Digest, want)
	}
	want := []string{
		"d/a 100640 7:8 1 " + string(digest.FromString("A")),
		"d/e 40755 0:0 0 ",
		"d/e/b 100644 0:0 1 " + string(digest.FromString("B")),
		"d/l 120777 0:0 0 a",
	}
	if diff := cmp.Diff(want, entryLines(c.Entries())); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestPathContent(t *testing.T) {
	testenv.Root(t)
	root := plant(t, "d/a =A", "z =Z")
	c, err := PathContent(context.Background(), &Source{Dir: open(t, root), Context: true}, "/d")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"d 40755 0:0 0 ", "d/a 100644 0:0 1 " + string(digest.FromString("A"))}
	if diff := cmp.Diff(want, entryLines(c.Entries())); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestList(t *testing.T) {
	testenv.Root(t)
	root := plant(t, "a =12345", "d/b =1", "d/c =22", "no/x =3")
	list, err := List(context.Background(), &Source{Dir: open(t, root), Context: true, Exclude: []string{"no", "d/b"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"a 100644 0:0 5 ", "d 40755 0:0 0 ", "d/c 100644 0:0 2 "}
	if diff := cmp.Diff(want, entryLines(list)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func TestExcludedBy(t *testing.T) {
	patterns := []string{"*.log", "dir", "!dir/keep", "dir/keep/not", "!nothing"}
	for _, tt := range []struct {
		path string
		by   int
		hid  bool
	}{
		{"main.go", -1, false},
		{"a.log", 0, true},
		{"/a.log", 0, true},
		{"dir", 1, true},
		{"dir/x", 1, true},
		{"dir/keep", 2, false},
		{"dir/keep/yes", 2, false},
		{"dir/keep/not/x", 3, true},
		{"sub/a.log", -1, false},
	} {
		by, hid, err := ExcludedBy(patterns, tt.path)
		if err != nil || by != tt.by || hid != tt.hid {
			t.Errorf("ExcludedBy(%q) = %d, %v, %v; want %d, %v", tt.path, by, hid, err, tt.by, tt.hid)
		}
	}
}
