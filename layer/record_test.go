//go:build linux

package layer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

// recordTar is a layer of files that one user cannot have.
func recordTar(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	at := time.Unix(1577836800, 0)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o750, Uid: 1000, Gid: 1001},
		{Typeflag: tar.TypeReg, Name: "d/block", Mode: 0o640, Uid: 4, Gid: 5},
		{Typeflag: tar.TypeReg, Name: "d/f", Mode: 0o4755, Uid: 65534, Gid: 7},
		{Typeflag: tar.TypeLink, Name: "d/hard", Linkname: "d/f", Mode: 0o4755, Uid: 65534, Gid: 7},
		{Typeflag: tar.TypeSymlink, Name: "d/link", Linkname: "f", Mode: 0o777, Uid: 33, Gid: 44},
		{Typeflag: tar.TypeSymlink, Name: "d/link2", Linkname: "f", Mode: 0o777, Uid: 33, Gid: 45},
		{Typeflag: tar.TypeChar, Name: "d/null", Mode: 0o666, Uid: 1, Gid: 2, Devmajor: 1, Devminor: 3},
		{Typeflag: tar.TypeFifo, Name: "d/pipe", Mode: 0o600, Uid: 8, Gid: 9},
		{Typeflag: tar.TypeReg, Name: "d/root", Mode: 0o600},
		{Typeflag: tar.TypeReg, Name: ".wh.gone"},
	} {
		h.ModTime, h.Format = at, tar.FormatPAX
		if h.Name == "d/block" {
			h.Typeflag, h.Devmajor, h.Devminor = tar.TypeBlock, 8, 1
		}
		if h.Name == ".wh.gone" {
			h.ModTime = time.Unix(0, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestRecords applies a layer where there is one user only and wants the same
// layer back.
func TestRecords(t *testing.T) {
	if dir := os.Getenv("MICA_TEST_RECORDS"); dir != "" {
		recordsChild(t, dir)
		return
	}
	testenv.Root(t)
	dir := t.TempDir()
	c := exec.Command("/proc/self/exe", "-test.run=^TestRecords$", "-test.v")
	c.Env = append(os.Environ(), "MICA_TEST_RECORDS="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{Size: 1}},
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}

func recordsChild(t *testing.T, dir string) {
	if !SingleID() || !UserXattr() {
		t.Fatal("this is no namespace with one user")
	}
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	want := recordTar(t)
	stats, err := Apply(t.Context(), bytes.NewReader(want), tree, ApplyOptions{NoOwner: true})
	if err != nil || stats.LostXattrs != 0 {
		t.Fatal(stats, err)
	}
	if diff := cmp.Diff(recordHeaders(t, want), diffHeaders(t, tree)); diff != "" {
		t.Errorf("layer (-want +got):\n%s", diff)
	}
	t.Run("look up", func(t *testing.T) {
		_, st, ok, err := Lookup([]string{tree}, "d/link")
		if err != nil || !ok || st.Uid != 33 || st.Gid != 44 {
			t.Errorf("owner %d:%d, %v, %v", st.Uid, st.Gid, ok, err)
		}
	})
	t.Run("link made anew", func(t *testing.T) {
		link := filepath.Join(tree, "d", "link")
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("other", link); err != nil {
			t.Fatal(err)
		}
		if h := find(t, tree, "d/link"); h.Uid != 0 || h.Gid != 0 {
			t.Errorf("a new link belongs to %d:%d", h.Uid, h.Gid)
		}
	})
	t.Run("change of owner", func(t *testing.T) {
		fd, err := openTree(filepath.Join(tree, "d"))
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		for _, step := range []struct {
			name     string
			uid, gid int
		}{{"link2", 5, 6}, {"link2", 0, 0}, {"f", 0, 0}, {"f", 1, 0}, {"pipe", 0, 3}, {".", 0, 0}} {
			if err := Chown(fd, step.name, step.uid, step.gid); err != nil {
				t.Fatal(err)
			}
			name := "d/" + step.name
			if step.name == "." {
				name = "d/"
			}
			if h := find(t, tree, name); h.Uid != step.uid || h.Gid != step.gid {
				t.Errorf("%s belongs to %d:%d, want %d:%d", name, h.Uid, h.Gid, step.uid, step.gid)
			}
		}
	})
	t.Run("settle", func(t *testing.T) {
		upper, lower := filepath.Join(dir, "upper"), filepath.Join(dir, "lower")
		for _, d := range []string{upper, lower} {
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
			if _, err := Apply(t.Context(), bytes.NewReader(want), d, ApplyOptions{NoOwner: true}); err != nil {
				t.Fatal(err)
			}
		}
		fd, err := openTree(filepath.Join(upper, "d"))
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		if err := Chown(fd, "link2", 5, 6); err != nil {
			t.Fatal(err)
		}
		if err := Settle(t.Context(), upper, []string{lower}); err != nil {
			t.Fatal(err)
		}
		got := slices.Sorted(maps.Keys(diffHeaders(t, upper)))
		if diff := cmp.Diff([]string{"d/", "d/link2"}, got); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
	})
	t.Run("too many links", func(t *testing.T) {
		many := filepath.Join(dir, "many")
		if err := os.Mkdir(many, 0o755); err != nil {
			t.Fatal(err)
		}
		fd, err := openTree(many)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		for i := range 500 {
			name := fmt.Sprint("link", i)
			if err := os.Symlink("x", filepath.Join(many, name)); err != nil {
				t.Fatal(err)
			}
			if err := Chown(fd, name, 1000, 1000); err != nil {
				t.Fatal(i, err)
			}
		}
		for name, h := range diffHeaders(t, many) {
			if h.Uid != 1000 {
				t.Errorf("%s belongs to %d", name, h.Uid)
			}
		}
	})
}

// noted is what the test compares of a tar header.
type noted struct {
	Type               byte
	Mode, Major, Minor int64
	Uid, Gid           int
	Linkname           string
	Time               int64
}

func diffHeaders(t *testing.T, tree string) map[string]noted {
	t.Helper()
	var b bytes.Buffer
	if err := Diff(t.Context(), &b, tree, DiffOptions{}); err != nil {
		t.Fatal(err)
	}
	return recordHeaders(t, b.Bytes())
}

func recordHeaders(t *testing.T, data []byte) map[string]noted {
	t.Helper()
	out := map[string]noted{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err != nil {
			return out
		}
		if len(h.PAXRecords) > 0 {
			t.Errorf("%s has records %v", h.Name, h.PAXRecords)
		}
		out[h.Name] = noted{h.Typeflag, h.Mode, h.Devmajor, h.Devminor, h.Uid, h.Gid, h.Linkname, h.ModTime.Unix()}
	}
}

func find(t *testing.T, tree, name string) noted {
	t.Helper()
	h, ok := diffHeaders(t, tree)[name]
	if !ok {
		t.Fatalf("no %s in the layer", name)
	}
	return h
}

func TestParseDevice(t *testing.T) {
	for in, want := range map[string]bool{
		"c:1:3": true, "b:8:1": true, "c:0:0": false, "b:0:0": true, "": false, "c:1": false, "x:1:3": false,
		"c:4096:0": false, "c:0:1048576": false, "c:-1:0": false, "c:1:3:4": false,
	} {
		if _, _, ok := parseDevice(in); ok != want {
			t.Errorf("%q: %v, want %v", in, ok, want)
		}
	}
}

func FuzzEntryOwners(f *testing.F) {
	f.Add([]byte{})
	f.Add(entryOwners{{1, 2}: {{1, 2, 3, 4, 5, 6}}, {3, 4}: {{}, {9}}}.encode())
	f.Add([]byte{1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		o := decodeEntryOwners(b)
		if again := decodeEntryOwners(o.encode()); !maps.EqualFunc(again, nonEmpty(o), slices.Equal) {
			t.Errorf("%v, then %v", o, again)
		}
	})
}

func nonEmpty(o entryOwners) entryOwners {
	maps.DeleteFunc(o, func(_ [2]uint32, keys []entryName) bool { return len(keys) == 0 })
	return o
}
