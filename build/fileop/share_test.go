//go:build linux

package fileop

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

// allKnown is a Digester that remembers nothing, and so is never wrong.
type allKnown struct{}

func (allKnown) FileDigest(_ string, _ *unix.Stat_t, open func() (*os.File, error)) (digest.Digest, error) {
	f, err := open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	return digest.FromReader(f)
}

// shared lists the files below root that are files of the tree other too.
func shared(t *testing.T, root, other string) []string {
	t.Helper()
	files := func(dir string) map[uint64]bool {
		m := map[uint64]bool{}
		for _, l := range list(t, dir) {
			name, _, _ := strings.Cut(l, " ")
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
				t.Fatal(err)
			}
			m[st.Ino] = true
		}
		return m
	}
	of := files(other)
	var out []string
	for _, l := range list(t, root) {
		name, _, _ := strings.Cut(l, " ")
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, name), &st); err != nil {
			t.Fatal(err)
		}
		if of[st.Ino] {
			out = append(out, name)
		}
	}
	return out
}

// A file of a published layer gets a second name only where its copy would look
// just the same.
func TestCopyShares(t *testing.T) {
	testenv.Root(t)
	layer := plant(t, "d/same =S", "d/mode 600 =M", "d/owner 5:6 =O", "d/two =T", "d/three => d/two", "d/link -> same", "d/e/deep =D")
	before := list(t, layer)
	for _, c := range []struct {
		name  string
		do    []string // planted in the destination before
		owner *Owner
		mode  int32
		want  []string
	}{
		{name: "as it is", mode: -1, want: []string{"x/e/deep", "x/mode", "x/owner", "x/same"}},
		{name: "another owner", mode: -1, owner: &Owner{5, 6}, want: []string{"x/owner"}},
		{name: "another mode", mode: 0o600, want: []string{"x/mode"}},
		{name: "into what is there", do: []string{"x/"}, mode: -1, want: []string{"x/e/deep"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dst := plant(t, c.do...)
			src := &Source{Dir: open(t, layer), Immutable: true}
			err := CopyTo(t.Context(), Dest{Dir: open(t, dst), Upper: open(t, dst)}, src, dockerCopy("/d", "/x/", octal(c.mode)), c.owner)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, shared(t, dst, layer)); diff != "" {
				t.Errorf("shared (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, list(t, layer)); diff != "" {
				t.Errorf("the published layer (-want +got):\n%s", diff)
			}
		})
	}
}

// A copy takes from its donor what is still the same, and copies the rest.
func TestCopyTakesFromDonor(t *testing.T) {
	testenv.Root(t)
	src := plant(t, "d/a =A", "d/b =B", "d/mode 600 =M", "d/new =N")
	old := plant(t, "x/a =A", "x/b =other", "x/mode =M", "x/gone =G")
	donor := &Donor{Dir: open(t, old), Files: map[string]digest.Digest{
		"x/a": digest.FromString("A"), "x/b": digest.FromString("other"), "x/mode": digest.FromString("M"),
		"x/new": digest.FromString("N"), // it says so, and is not there
	}}
	var mu sync.Mutex
	copied := map[string]digest.Digest{}
	dst := plant(t)
	err := CopyTo(t.Context(), Dest{Dir: open(t, dst), Upper: open(t, dst)}, &Source{
		Dir: open(t, src), Context: true, Digests: allKnown{}, Donor: donor,
		Copied: func(target string, d digest.Digest) {
			mu.Lock()
			defer mu.Unlock()
			copied[target] = d
		},
	}, dockerCopy("/d", "/x/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"x/ 0755 0:0", "x/a 0644 0:0 =A", "x/b 0644 0:0 =B", "x/mode 0600 0:0 =M", "x/new 0644 0:0 =N"}
	if diff := cmp.Diff(want, list(t, dst)); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"x/a"}, shared(t, dst, old)); diff != "" {
		t.Errorf("shared (-want +got):\n%s", diff)
	}
	sums := map[string]digest.Digest{}
	for name, text := range map[string]string{"x/a": "A", "x/b": "B", "x/mode": "M", "x/new": "N"} {
		sums[name] = digest.FromString(text)
	}
	if diff := cmp.Diff(sums, copied); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// The entry of a hard link sets owner and mode of the file it leads to. A file
// that an earlier copy shares with a published layer is that layer's too.
func TestUnpackSparesShared(t *testing.T) {
	testenv.Root(t)
	layer := plant(t, "d/f =F")
	before := list(t, layer)
	again := tar.Header{Name: "h", Typeflag: tar.TypeLink, Linkname: "f", Mode: 0o4777, Uid: 3, Gid: 4}
	third := again
	third.Name, third.Linkname = "i", "h"
	archive := plant(t)
	if err := os.WriteFile(filepath.Join(archive, "a.tar"), pack(t, again, third), 0o644); err != nil {
		t.Fatal(err)
	}
	dst := plant(t)
	to := Dest{Dir: open(t, dst), Upper: open(t, dst)}
	if err := CopyTo(t.Context(), to, &Source{Dir: open(t, layer), Immutable: true}, dockerCopy("/d", "/x/"), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"x/f"}, shared(t, dst, layer)); diff != "" {
		t.Fatalf("shared (-want +got):\n%s", diff)
	}
	if err := CopyTo(t.Context(), to, &Source{Dir: open(t, archive), Context: true}, dockerCopy("/a.tar", "/x/", unpacking), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, list(t, layer)); diff != "" {
		t.Errorf("the published layer (-want +got):\n%s", diff)
	}
	want := []string{"x/ 0755 0:0", "x/f 4777 3:4 =F", "x/h => x/f", "x/i => x/f"}
	if diff := cmp.Diff(want, list(t, dst)); diff != "" {
		t.Errorf("copy (-want +got):\n%s", diff)
	}
}
