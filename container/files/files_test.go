//go:build linux

package files

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/testenv"
)

// tree is a directory with some of everything.
func tree(t *testing.T) (string, *os.File) {
	t.Helper()
	dir := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "etc/sub"), 0o755), os.WriteFile(filepath.Join(dir, "etc/file"), []byte("text"), 0o640),
		os.Symlink("/etc", filepath.Join(dir, "link")), os.Symlink("../../../etc/passwd", filepath.Join(dir, "etc/out")),
		unix.Mkfifo(filepath.Join(dir, "etc/fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, root
}

// list is a tar as names, with a link's target and a file's content.
func list(t *testing.T, raw []byte) (out []string) {
	t.Helper()
	r := tar.NewReader(bytes.NewReader(raw))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		line := h.Name
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		if len(text) > 0 {
			line += " = " + string(text)
		}
		out = append(out, line)
	}
}

func TestPack(t *testing.T) {
	_, root := tree(t)
	all := []string{"x/", "x/fifo", "x/file = text", "x/out -> ../../../etc/passwd", "x/sub/"}
	for _, tt := range []struct {
		name string
		o    PackOptions
		want []string
	}{
		{"/etc", PackOptions{Name: "x"}, all},
		{"/etc", PackOptions{}, []string{"fifo", "file = text", "out -> ../../../etc/passwd", "sub/"}},
		{"/etc/file", PackOptions{Name: "y"}, []string{"y = text"}},
		{"/link", PackOptions{Name: "x"}, []string{"x -> /etc"}},
		{"/link", PackOptions{Name: "x", Follow: true}, all},
		{"/link/", PackOptions{Name: "x"}, all},
		{"/link/file", PackOptions{Name: "y"}, []string{"y = text"}},
	} {
		var b bytes.Buffer
		if err := Pack(t.Context(), &b, root, tt.name, tt.o); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, list(t, b.Bytes())); diff != "" {
			t.Errorf("%s, %+v: %s", tt.name, tt.o, diff)
		}
	}
	// What a link names outside of the root is looked for inside.
	for _, name := range []string{"/none", "/etc/out/"} {
		if err := Pack(t.Context(), io.Discard, root, name, PackOptions{Follow: true}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnpackStaysInside unpacks a tar that wants out.
func TestUnpackStaysInside(t *testing.T) {
	testenv.Root(t)
	dir, root := tree(t)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "esc", Typeflag: tar.TypeSymlink, Linkname: "/"},
		{Name: "esc/escaped", Typeflag: tar.TypeReg, Size: 1, Mode: 0o600},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := w.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	_ = Unpack(t.Context(), &b, root, "/link/sub")
	if _, err := os.Lstat("/escaped"); err == nil {
		t.Error("it got out")
		_ = os.Remove("/escaped")
	}
	if _, err := os.Lstat(filepath.Join(dir, "etc/sub/esc")); err != nil {
		t.Error(err)
	}
	if err := Unpack(t.Context(), &b, root, "/none"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestPlace(t *testing.T) {
	for _, tt := range []struct {
		dest               string
		at, parent, source Kind
		contents           bool
		dir, as            string // "" and "" is an error
	}{
		{"/d", Directory, Directory, Other, false, "/d", "src"},
		{"/d/", Directory, Directory, Directory, false, "/d", "src"},
		{"/d", Directory, Directory, Directory, true, "/d", ""},
		{"/f", Other, Directory, Other, false, "/", "f"},
		{"/d/new", Nothing, Directory, Other, false, "/d", "new"},
		{"/d/new/", Nothing, Directory, Directory, false, "/d", "new"},
		{"/d/new", Nothing, Directory, Directory, true, "/d", "new"},
		{"/f", Other, Directory, Directory, false, "", ""},
		{"/f/", Other, Directory, Other, false, "", ""},
		{"/d/new/", Nothing, Directory, Other, false, "", ""},
		{"/no/new", Nothing, Nothing, Other, false, "", ""},
		{"/f/new", Nothing, Other, Other, false, "", ""},
	} {
		dir, as, err := Place(tt.dest, tt.at, tt.parent, tt.source, "src", tt.contents)
		if (err != nil) != (tt.dir == "") || err == nil && (dir != tt.dir || as != tt.as) {
			t.Errorf("%+v: %q, %q, %v", tt, dir, as, err)
		}
	}
}

func TestChanges(t *testing.T) {
	testenv.Root(t)
	_, lower := tree(t)
	upper := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(upper, "etc/new"), 0o755), os.WriteFile(filepath.Join(upper, "etc/new/file"), nil, 0o644),
		unix.Mknod(filepath.Join(upper, "etc/file"), unix.S_IFCHR, 0), os.WriteFile(filepath.Join(upper, "etc/hosts"), nil, 0o644),
		os.Mkdir(filepath.Join(upper, "proc"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got, err := Changes(t.Context(), upper, lower)
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{{"C", "/etc"}, {"D", "/etc/file"}, {"A", "/etc/new"}, {"A", "/etc/new/file"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
