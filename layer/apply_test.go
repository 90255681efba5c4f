//go:build linux

package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// e is one entry of a test archive; Body is a regular file's content.
type e struct {
	tar.Header
	Body string
}

func file(name, body string) e { return e{tar.Header{Name: name, Typeflag: tar.TypeReg}, body} }
func dir(name string) e        { return e{tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}, ""} }

func symlink(name, to string) e {
	return e{tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}, ""}
}

func hardlink(name, to string) e {
	return e{tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink, Mode: 0o644}, ""}
}

// archive writes entries, whose owner is the caller.
func archive(t testing.TB, entries ...e) []byte {
	t.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, x := range entries {
		h := x.Header
		h.Size = int64(len(x.Body))
		h.Uid, h.Gid = os.Geteuid(), os.Getegid()
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.ModTime.IsZero() {
			h.ModTime = stamp
		}
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		if _, err := io.WriteString(tw, x.Body); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// mine are options with which the caller needs no rights over owners.
func mine(o ApplyOptions) ApplyOptions {
	o.NoOwner = os.Geteuid() != 0
	return o
}

// brief describes a tree in one word an entry.
func brief(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for p, n := range scan(t, dir) {
		var s string
		switch n.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			s = "dir"
		case unix.S_IFREG:
			s = "file " + n.Content
		case unix.S_IFLNK:
			s = "-> " + n.Target
		case unix.S_IFIFO:
			s = "fifo"
		default:
			s = "device"
		}
		if n.Mode == unix.S_IFCHR {
			s = "whiteout"
		}
		if n.Opaque {
			s += " opaque"
		}
		if n.Same != "" {
			s += " = " + n.Same
		}
		out[p] = s
	}
	return out
}

func TestApply(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entries []e
		want    map[string]string
	}{
		{"missing parents", []e{file("a/b/c", "x")}, map[string]string{"a": "dir", "a/b": "dir", "a/b/c": "file x"}},
		{
			"odd spellings",
			[]e{file("./a//b/../c", "x"), file("/abs", "y"), dir("d/./"), file("d//e", "z")},
			map[string]string{"a": "dir", "a/c": "file x", "abs": "file y", "d": "dir", "d/e": "file z"},
		},
		{"later file wins", []e{file("f", "one"), file("f", "two")}, map[string]string{"f": "file two"}},
		{
			"replaced file leaves its links",
			[]e{file("f", "one"), hardlink("g", "f"), file("f", "two")},
			map[string]string{"f": "file two", "g": "file one"},
		},
		{"file over directory", []e{dir("d"), file("d/x", "x"), file("d", "file")}, map[string]string{"d": "file file"}},
		{"directory over file", []e{file("d", "file"), dir("d"), file("d/x", "x")}, map[string]string{"d": "dir", "d/x": "file x"}},
		{
			"directory over symbolic link",
			[]e{dir("t"), symlink("d", "t"), dir("d"), file("d/x", "x")},
			map[string]string{"t": "dir", "d": "dir", "d/x": "file x"},
		},
		{"directory twice", []e{dir("d"), file("d/x", "x"), dir("d")}, map[string]string{"d": "dir", "d/x": "file x"}},
		{"symbolic link over full directory", []e{dir("d"), dir("d/e"), file("d/e/f", "x"), symlink("d", "t")}, map[string]string{"d": "-> t"}},
		{
			"through a link in the tree",
			[]e{dir("usr/lib"), symlink("lib", "usr/lib"), file("lib/so", "x")},
			map[string]string{"usr": "dir", "usr/lib": "dir", "usr/lib/so": "file x", "lib": "-> usr/lib"},
		},
		{
			"through an absolute link",
			[]e{dir("run"), dir("var"), symlink("var/run", "/run"), file("var/run/pid", "1")},
			map[string]string{"run": "dir", "run/pid": "file 1", "var": "dir", "var/run": "-> /run"},
		},
		{
			"through a dangling link",
			[]e{symlink("l", "/new/place"), file("l/x", "x")},
			map[string]string{"l": "-> /new/place", "new": "dir", "new/place": "dir", "new/place/x": "file x"},
		},
		{
			"replaced link leads elsewhere",
			[]e{dir("a"), dir("b"), symlink("l", "a"), file("l/1", "x"), symlink("l", "b"), file("l/2", "y")},
			map[string]string{"a": "dir", "a/1": "file x", "b": "dir", "b/2": "file y", "l": "-> b"},
		},
		{
			"replaced directory is another",
			[]e{dir("d"), file("d/1", "x"), file("d", ""), dir("d"), file("d/2", "y")},
			map[string]string{"d": "dir", "d/2": "file y"},
		},
		{"loop over directory", []e{dir("d"), dir("d/e"), symlink("d", "d")}, map[string]string{"d": "-> d"}},
		{"hard link", []e{file("f", "x"), hardlink("d/l", "/f")}, map[string]string{"d": "dir", "d/l": "file x", "f": "file x = d/l"}},
		{"hard link to itself", []e{file("f", "x"), hardlink("f", "./f")}, map[string]string{"f": "file x"}},
		{
			"hard link to symbolic link",
			[]e{symlink("s", "/etc/passwd"), hardlink("l", "s")},
			map[string]string{"l": "-> /etc/passwd", "s": "-> /etc/passwd = l"},
		},
		{"hard link over file", []e{file("f", "x"), file("l", "old"), hardlink("l", "f")}, map[string]string{"f": "file x", "l": "file x = f"}},
		{"fifo", []e{{tar.Header{Name: "p", Typeflag: tar.TypeFifo}, ""}}, map[string]string{"p": "fifo"}},
		{"contiguous file", []e{{tar.Header{Name: "c", Typeflag: tar.TypeCont}, "x"}}, map[string]string{"c": "file x"}},

		{"whiteout", []e{file("d/.wh.x", "")}, map[string]string{"d": "dir", "d/x": "whiteout"}},
		{"whiteout twice", []e{file(".wh.x", ""), file(".wh.x", "")}, map[string]string{"x": "whiteout"}},
		{
			"whiteout with odd name",
			[]e{file(".wh....", ""), file(".wh. ", ""), file(".wh.\xff", "")},
			map[string]string{"...": "whiteout", " ": "whiteout", "\xff": "whiteout"},
		},
		{"whiteout, then file", []e{file(".wh.x", ""), file("x", "new")}, map[string]string{"x": "file new"}},
		{"file, then whiteout", []e{file("x", "new"), file(".wh.x", "")}, map[string]string{"x": "file new"}},
		{"whiteout, then directory", []e{file(".wh.x", ""), dir("x"), file("x/y", "")}, map[string]string{"x": "dir opaque", "x/y": "file "}},
		{"directory, then whiteout", []e{dir("x"), file("x/y", ""), file(".wh.x", "")}, map[string]string{"x": "dir opaque", "x/y": "file "}},
		{
			"whiteout, then what lies below",
			[]e{file(".wh.x", ""), file("x/y/z", "")},
			map[string]string{"x": "dir opaque", "x/y": "dir", "x/y/z": "file "},
		},
		{"opaque", []e{dir("d"), file("d/.wh..wh..opq", ""), file("d/x", "")}, map[string]string{"d": "dir opaque", "d/x": "file "}},
		{"opaque alone", []e{file("d/.wh..wh..opq", "")}, map[string]string{"d": "dir opaque"}},
		{"whiteout as directory", []e{dir(".wh.d")}, map[string]string{"d": "whiteout"}},
		{"raw whiteout", []e{{tar.Header{Name: "x", Typeflag: tar.TypeChar}, ""}}, map[string]string{"x": "whiteout"}},
		{
			"aufs bookkeeping",
			[]e{dir(".wh..wh.plnk"), file(".wh..wh.plnk/1.2", "x"), file(".wh..wh.aufs", "x"), file("d/.wh..wh.orph/x", "")},
			map[string]string{},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := t.TempDir()
			if _, err := Apply(t.Context(), bytes.NewReader(archive(t, tt.entries...)), out, mine(ApplyOptions{})); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, brief(t, out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestApplyFlat(t *testing.T) {
	base := []e{
		dir("d"), dir("d/sub"), file("d/sub/deep", "old"), file("d/old", "old"), file("top", "old"),
		file("linked", "old"), dir("empty"), symlink("l", "d"),
	}
	for _, tt := range []struct {
		name    string
		entries []e
		gone    []string
		changed map[string]string
	}{
		{"file", []e{file(".wh.top", "")}, []string{"top"}, nil},
		{"nothing", []e{file(".wh.none", "")}, nil, nil},
		{"tree", []e{file(".wh.d", "")}, []string{"d", "d/sub", "d/sub/deep", "d/old"}, nil},
		{"link, not its target", []e{file(".wh.l", "")}, []string{"l"}, nil},
		{"through a link", []e{file("l/.wh.old", "")}, []string{"d/old"}, nil},
		{
			"opaque keeps the new",
			[]e{file("d/new", "n"), file("d/.wh..wh..opq", ""), file("d/newer", "n")},
			[]string{"d/sub", "d/sub/deep", "d/old"},
			map[string]string{"d/new": "file n", "d/newer": "file n"},
		},
		{
			"whiteout keeps the new",
			[]e{file("d/sub/new", "n"), file(".wh.d", "")},
			[]string{"d/sub/deep", "d/old"},
			map[string]string{"d/sub/new": "file n"},
		},
		{
			"whiteout, then new",
			[]e{file(".wh.d", ""), file("d/sub/new", "n")},
			[]string{"d/sub/deep", "d/old"},
			map[string]string{"d/sub/new": "file n"},
		},
		{"replaced, then whiteout", []e{file("top", "n"), file(".wh.top", "")}, nil, map[string]string{"top": "file n"}},
		{
			"link, then whiteout of its target",
			[]e{hardlink("kept", "linked"), file(".wh.linked", "")},
			[]string{"linked"},
			map[string]string{"kept": "file old"},
		},
		{"raw whiteout", []e{{tar.Header{Name: "top", Typeflag: tar.TypeChar}, ""}}, []string{"top"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := t.TempDir()
			for _, entries := range [][]e{base, tt.entries} {
				if _, err := Apply(t.Context(), bytes.NewReader(archive(t, entries...)), out, mine(ApplyOptions{Flat: true})); err != nil {
					t.Fatal(err)
				}
			}
			want := map[string]string{
				"d": "dir", "d/sub": "dir", "d/sub/deep": "file old", "d/old": "file old", "top": "file old",
				"linked": "file old", "empty": "dir", "l": "-> d",
			}
			for _, p := range tt.gone {
				delete(want, p)
			}
			for p, s := range tt.changed {
				want[p] = s
			}
			if diff := cmp.Diff(want, brief(t, out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestApplyHostile applies archives that try to reach a file beside the tree.
// Whatever Apply answers, what lies outside must stay as it was.
func TestApplyHostile(t *testing.T) {
	up := strings.Repeat("../", 40)
	xattr := func(name, value string) map[string]string { return map[string]string{xattrRecord + name: value} }
	for _, tt := range []struct {
		name    string
		entries func(outside string) []e
		err     error // nil: applies
	}{
		{"dot dot", func(o string) []e {
			return []e{file("../victim", "x"), file(up+o+"/victim", "x"), file("a/../../victim", "x")}
		}, nil},
		{"absolute", func(o string) []e { return []e{file(o+"/victim", "x")} }, nil},
		{"bare dot dot", func(string) []e { return []e{file("..", "x")} }, errs.ErrInvalid},
		{"link up", func(string) []e { return []e{symlink("l", ".."), file("l/victim", "x")} }, nil},
		{"absolute link", func(o string) []e { return []e{symlink("l", o), file("l/victim", "x")} }, nil},
		{"link to file, then write", func(o string) []e { return []e{symlink("l", o+"/victim"), file("l", "x")} }, nil},
		{"link chain", func(string) []e {
			return []e{dir("d"), symlink("d/a", ".."), symlink("b", "d/a/.."), symlink("c", "b/../.."), file("c/victim", "x")}
		}, nil},
		{"link loop", func(string) []e { return []e{symlink("l", "l"), file("l/victim", "x")} }, unix.ELOOP},
		{"directory over link", func(o string) []e { return []e{symlink("l", o), dir("l"), file("l/victim", "x")} }, nil},
		{"mode through link", func(o string) []e {
			return []e{symlink("l", o+"/victim"), {tar.Header{Name: "l", Linkname: o + "/victim", Typeflag: tar.TypeSymlink, Mode: 0o777}, ""}}
		}, nil},
		{"link owner", func(o string) []e {
			return []e{symlink("l", o+"/victim"), hardlink("m", "l")}
		}, nil},
		{"hard link up", func(string) []e { return []e{hardlink("l", "../victim"), file("l", "x")} }, errLink},
		{"hard link absolute", func(o string) []e { return []e{hardlink("l", o+"/victim")} }, errLink},
		{"hard link through link", func(o string) []e { return []e{symlink("s", o), hardlink("l", "s/victim")} }, errLink},
		{"hard link to link, then write", func(o string) []e {
			return []e{symlink("s", o+"/victim"), hardlink("l", "s"), file("l", "x")}
		}, nil},
		{"hard link to directory", func(string) []e { return []e{dir("d"), hardlink("l", "d")} }, errs.ErrInvalid},
		{"hard link to root", func(string) []e { return []e{hardlink("l", ".")} }, errs.ErrInvalid},
		{"hard link below its replacement", func(string) []e { return []e{file("d/f", "x"), hardlink("d", "d/f")} }, unix.ENOENT},
		{"hard link to whiteout", func(string) []e { return []e{file(".wh.x", ""), hardlink("l", "x")} }, errLink},
		{"hard link from nowhere", func(string) []e { return []e{hardlink("l", "")} }, errs.ErrInvalid},
		{"file as parent", func(string) []e { return []e{file("f", ""), file("f/x", "")} }, errs.ErrInvalid},
		{"fifo as parent", func(string) []e {
			return []e{{tar.Header{Name: "p", Typeflag: tar.TypeFifo}, ""}, file("p/x", "")}
		}, errs.ErrInvalid},
		{"whiteout up", func(string) []e { return []e{file("../.wh.victim", "")} }, nil},
		{"whiteout through link", func(o string) []e { return []e{symlink("l", o), file("l/.wh.victim", "")} }, nil},
		{"whiteout of dot", func(string) []e { return []e{file(".wh..", "")} }, errs.ErrInvalid},
		{"whiteout of dot dot", func(string) []e { return []e{file("d/.wh...", "")} }, errs.ErrInvalid},
		{"whiteout of nothing", func(string) []e { return []e{file("d/.wh.", "")} }, errs.ErrInvalid},
		{"whiteout as parent", func(string) []e { return []e{file(".wh.d/x", "")} }, errs.ErrInvalid},
		{"whiteout below whiteout", func(string) []e { return []e{file(".wh.d/.wh.x", "")} }, errs.ErrInvalid},
		{"opaque through link", func(o string) []e { return []e{symlink("l", o), file("l/.wh..wh..opq", "")} }, nil},
		{"file as root", func(string) []e { return []e{file(".", "x")} }, errs.ErrInvalid},
		{"link as root", func(o string) []e { return []e{symlink(".", o), file("victim", "x")} }, errs.ErrInvalid},
		{"overlay redirect", func(string) []e {
			return []e{{tar.Header{Name: "d", Typeflag: tar.TypeDir, Mode: 0o755, PAXRecords: xattr("trusted.overlay.redirect", "/x")}, ""}}
		}, nil},
		{"overlay metacopy", func(string) []e {
			return []e{{tar.Header{Name: "f", Typeflag: tar.TypeReg, PAXRecords: xattr("user.overlay.metacopy", "")}, ""}}
		}, nil},
		{"xattr too large", func(string) []e {
			return []e{{tar.Header{Name: "f", Typeflag: tar.TypeReg, PAXRecords: xattr("user.x", strings.Repeat("x", maxXattr+1))}, ""}}
		}, errs.ErrTooLarge},
		{"long name", func(string) []e { return []e{file(strings.Repeat("n/", 2100)+"n", "")} }, errs.ErrTooLarge},
		{"long part", func(string) []e { return []e{file(strings.Repeat("n", 256), "")} }, unix.ENAMETOOLONG},
		{"unknown type", func(string) []e { return []e{{tar.Header{Name: "x", Typeflag: 'Z'}, ""}} }, errs.ErrInvalid},
		{"device number", func(string) []e {
			return []e{{tar.Header{Name: "x", Typeflag: tar.TypeChar, Devmajor: 1 << 12}, ""}}
		}, errs.ErrInvalid},
	} {
		for _, flat := range []bool{false, true} {
			name := tt.name
			if flat {
				name += " flat"
			}
			t.Run(name, func(t *testing.T) {
				top := newMaker(t)
				top.file("victim", "untouched", 0o600)
				top.mkdir("tree", 0o755)
				top.settle()
				before := scan(t, top.dir)
				data := archive(t, tt.entries(top.dir)...)
				_, err := Apply(t.Context(), bytes.NewReader(data), top.path("tree"), mine(ApplyOptions{Flat: flat}))
				if !errors.Is(err, tt.err) && !(tt.err == errLink && isMissingLink(err)) {
					t.Errorf("got %v, want %v", err, tt.err)
				}
				after := scan(t, top.dir)
				for p := range after {
					if strings.HasPrefix(p, "tree") {
						if x := after[p].Xattrs; len(x) > 0 {
							t.Errorf("%s has xattrs %v", p, x)
						}
						delete(after, p)
					}
				}
				delete(before, "tree")
				if diff := cmp.Diff(before, after); diff != "" {
					t.Errorf("outside (-before +after):\n%s", diff)
				}
			})
		}
	}
}

var errLink = errors.New("a MissingLinkError")

func isMissingLink(err error) bool {
	var m *MissingLinkError
	return errors.As(err, &m)
}

// TestApplyMalformed gives what is no tar, or a part of one.
func TestApplyMalformed(t *testing.T) {
	whole := archive(t, file("f", strings.Repeat("x", 2000)), file("g", "y"))
	failing := errors.New("broken pipe")
	for _, tt := range []struct {
		name string
		in   io.Reader
		err  error
	}{
		{"empty", bytes.NewReader(nil), nil},
		{"no end mark", bytes.NewReader(whole[:len(whole)-1024]), nil},
		{"cut in content", bytes.NewReader(whole[:1000]), errs.ErrInvalid},
		{"cut in header", bytes.NewReader(whole[:100]), errs.ErrInvalid},
		{"text", strings.NewReader(strings.Repeat("not a tar ", 100)), errs.ErrInvalid},
		{"failing reader", io.MultiReader(bytes.NewReader(whole[:1000]), errReader{failing}), failing},
		{"fails after the end", io.MultiReader(bytes.NewReader(whole), errReader{failing}), failing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Apply(t.Context(), tt.in, t.TempDir(), mine(ApplyOptions{})); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestApplyLimitsAndStats(t *testing.T) {
	data := archive(t, dir("d"), file("d/f", strings.Repeat("x", 600)), file("n/m/g", strings.Repeat("y", 400)))
	trailing := append(slices.Clone(data), bytes.Repeat([]byte{1}, 70_000)...)
	r := bytes.NewReader(trailing)
	got, err := Apply(t.Context(), r, t.TempDir(), mine(ApplyOptions{MaxBytes: 1000}))
	want := Stats{Entries: 3, Bytes: 1000, Implied: []string{"n", "n/m"}}
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("%+v, %v", got, err)
	}
	if r.Len() != 0 {
		t.Errorf("%d bytes were left unread", r.Len())
	}
	if _, err := Apply(t.Context(), bytes.NewReader(data), t.TempDir(), mine(ApplyOptions{MaxBytes: 999})); !errors.Is(err, errs.ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Apply(ctx, bytes.NewReader(data), t.TempDir(), mine(ApplyOptions{})); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestApplyBomb holds a sparse file that claims more than a disk has to its
// limit before a byte is written.
func TestApplyBomb(t *testing.T) {
	data := archive(t, file("f", ""))
	h := data[:512]
	copy(h[124:136], "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\x00") // size in base 256
	sum := 8 * int(' ')
	for i, c := range h {
		if i < 148 || i >= 156 {
			sum += int(c)
		}
	}
	copy(h[148:156], []byte{byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
	if _, err := Apply(t.Context(), bytes.NewReader(data), t.TempDir(), mine(ApplyOptions{MaxBytes: 1 << 30})); !errors.Is(err, errs.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestApplyRootEntry(t *testing.T) {
	out := t.TempDir()
	root := e{tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o751, ModTime: time.Unix(5, 0)}, ""}
	if _, err := Apply(t.Context(), bytes.NewReader(archive(t, root, file("f", ""))), out, mine(ApplyOptions{})); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(out, &st); err != nil || st.Mode&0o7777 != 0o751 || st.Mtim.Sec != 5 {
		t.Errorf("mode %o, time %d, %v", st.Mode, st.Mtim.Sec, err)
	}
}

func TestApplySubsecondTime(t *testing.T) {
	out := t.TempDir()
	when := time.Unix(1600000000, 123456789)
	f := e{tar.Header{Name: "f", Typeflag: tar.TypeReg, ModTime: when, Format: tar.FormatPAX}, "x"}
	if _, err := Apply(t.Context(), bytes.NewReader(archive(t, f)), out, mine(ApplyOptions{})); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(out + "/f"); err != nil || !fi.ModTime().Equal(when) {
		t.Errorf("%v, %v", fi.ModTime(), err)
	}
}

// TestApplyParents takes from the trees below what the layer only refers to.
func TestApplyParents(t *testing.T) {
	bottom, top := newMaker(t), newMaker(t)
	bottom.mkdir("tmp", 0o1777)
	bottom.mkdir("bin", 0o755)
	bottom.file("bin/tool", "old tool", 0o755)
	bottom.file("bin/gone", "x", 0o755)
	bottom.file("bin/ping", "pong", 0o700)
	top.mkdir("bin", 0o711)
	top.file("bin/tool", "tool", 0o4711)
	top.whiteout("bin/gone")
	bottom.settle()
	top.settle()
	lowers := []string{bottom.dir, top.dir}
	out := t.TempDir()
	l, m, n := hardlink("bin/l", "bin/tool"), hardlink("m", "bin/ping"), hardlink("n", "m")
	l.Mode, m.Mode, n.Mode = 0o4711, 0o644, 0o700 // the last word on a file is its last link's
	data := archive(t, l, m, n, file("tmp/x", "x"))
	stats, err := Apply(t.Context(), bytes.NewReader(data), out, mine(ApplyOptions{Parents: lowers}))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"bin", "tmp"}; !slices.Equal(stats.Implied, want) {
		t.Errorf("implied %v, want %v", stats.Implied, want)
	}
	got := scan(t, out)
	want := map[string]string{"bin": "dir", "bin/l": "file tool", "m": "file pong", "n": "file pong = m", "tmp": "dir", "tmp/x": "file x"}
	if diff := cmp.Diff(want, brief(t, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for p, mode := range map[string]uint32{"bin": 0o711, "tmp": 0o1777, "bin/l": 0o4711, "m": 0o700} {
		if got[p].Mode&0o7777 != mode {
			t.Errorf("%s has mode %o, want %o", p, got[p].Mode&0o7777, mode)
		}
		if !strings.HasPrefix(got[p].Mtime, "1600000000.") {
			t.Errorf("%s has time %s", p, got[p].Mtime)
		}
	}
	_, err = Apply(t.Context(), bytes.NewReader(archive(t, hardlink("l", "bin/gone"))), t.TempDir(), mine(ApplyOptions{Parents: lowers}))
	var missing *MissingLinkError
	if !errors.As(err, &missing) || missing.Name != "l" || missing.Target != "bin/gone" {
		t.Errorf("got %v", err)
	}
}

// TestApplyDefaultACL keeps a default ACL around the tree out of it.
func TestApplyDefaultACL(t *testing.T) {
	m := newMaker(t)
	if os.Geteuid() == 0 {
		fullRoot(t) // the ACL names a second user
	}
	m.xattr(".", defaultACL, strings.Replace(aclUserRead, "\x06", "\x07", 1)) // rwx for the owner
	out := m.path("tree")
	m.must(os.Mkdir(out, 0o755))
	if _, err := Apply(t.Context(), bytes.NewReader(archive(t, dir("d"), file("d/f", ""))), out, mine(ApplyOptions{})); err != nil {
		t.Fatal(err)
	}
	for p, n := range scan(t, out) {
		if len(n.Xattrs) > 0 || n.Mode&0o777 != 0o755 && n.Mode&0o777 != 0o644 {
			t.Errorf("%s: mode %o, xattrs %q", p, n.Mode, n.Xattrs)
		}
	}
}

func TestApplyDeviceUnprivileged(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs a user who may not make devices")
	}
	data := archive(t, e{tar.Header{Name: "null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, ""})
	if _, err := Apply(t.Context(), bytes.NewReader(data), t.TempDir(), ApplyOptions{NoOwner: true}); !errors.Is(err, errs.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

// TestApplyForeignOwner needs the caller to be allowed what the archive asks.
func TestApplyForeignOwner(t *testing.T) {
	fullRoot(t)
	h := tar.Header{Name: "f", Typeflag: tar.TypeReg, Mode: 0o6755, Uid: 7, Gid: 8, PAXRecords: map[string]string{
		xattrRecord + capabilityAttr: capNetBind, xattrRecord + "security.selinux": "system_u:object_r:x:s0",
	}}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	if err := errors.Join(tw.WriteHeader(&h), tw.Close()); err != nil {
		t.Fatal(err)
	}
	for _, no := range []bool{false, true} {
		out := t.TempDir()
		if _, err := Apply(t.Context(), bytes.NewReader(buf.Bytes()), out, ApplyOptions{NoOwner: no}); err != nil {
			t.Fatal(err)
		}
		n := scan(t, out)["f"]
		uid, gid := uint32(7), uint32(8)
		if no {
			uid, gid = 0, 0
		}
		if n.UID != uid || n.GID != gid || n.Mode&0o7777 != 0o6755 || n.Xattrs[capabilityAttr] != capNetBind || len(n.Xattrs) != 1 {
			t.Errorf("no owner %v: %+v", no, n)
		}
	}
}

func FuzzApply(f *testing.F) {
	for _, entries := range [][]e{
		{dir("d"), file("d/f", "x"), hardlink("l", "d/f"), symlink("s", "../..")},
		{file("../../.wh.x", ""), file("d/.wh..wh..opq", ""), symlink("l", "/"), file("l/victim", "x")},
		{symlink("a", "../victim"), hardlink("b", "a"), file("b", "x"), dir("b"), file(".wh.b", "")},
		{{tar.Header{Name: "f", Typeflag: tar.TypeReg, PAXRecords: map[string]string{xattrRecord + "user.x": "y"}}, "z"}},
	} {
		f.Add(archive(f, entries...), false)
		f.Add(archive(f, entries...), true)
	}
	base, err := os.MkdirTemp("/dev/shm", "fuzz")
	if err != nil {
		base = f.TempDir()
	}
	f.Cleanup(func() { os.RemoveAll(base) })
	f.Fuzz(func(t *testing.T, data []byte, flat bool) {
		top, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(top)
		m := &maker{t, top}
		m.file("victim", "untouched", 0o600)
		m.touch("victim", stamp)
		m.mkdir("tree", 0o755)
		before := scan(t, top)["victim"]
		_, err = Apply(t.Context(), bytes.NewReader(data), m.path("tree"), mine(ApplyOptions{Flat: flat, MaxBytes: 1 << 20}))
		list, derr := filepath.Glob(top + "/*")
		if derr != nil || len(list) != 2 {
			t.Fatalf("outside: %v", list)
		}
		if diff := cmp.Diff(before, scan(t, top)["victim"]); diff != "" {
			t.Fatalf("outside (-before +after):\n%s", diff)
		}
		if err != nil || flat {
			return
		}
		// What was applied has a tar, unless its names do not fit into one.
		out := m.path("again")
		m.must(os.Mkdir(out, 0o755))
		var buf bytes.Buffer
		if err := Diff(t.Context(), &buf, m.path("tree"), DiffOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := Apply(t.Context(), &buf, out, mine(ApplyOptions{})); err != nil {
			t.Fatal(err)
		}
	})
}
