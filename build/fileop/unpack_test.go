//go:build linux

package fileop

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/moby/buildkit/solver/pb"
	"github.com/ulikunitz/xz"

	"github.com/mica-build/mica/internal/testenv"
)

// pack makes an archive; content is the Linkname of entries that have none.
func pack(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		var data string
		if h.Typeflag == tar.TypeReg || h.Typeflag == 0 {
			data, h.Linkname = h.Linkname, ""
			h.Size = int64(len(data))
		}
		h.Format = tar.FormatPAX
		if h.ModTime.IsZero() && h.Typeflag != tar.TypeXGlobalHeader {
			h.ModTime = past
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(name, data string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o640, Uid: 7, Gid: 8, Linkname: data}
}

func dirEntry(name string, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode, Uid: 7, Gid: 8}
}

func symEntry(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: target}
}

func hardEntry(name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target, Mode: 0o640, Uid: 7, Gid: 8}
}

// A4.12, Observed 4: what an archive becomes.
func TestUnpack(t *testing.T) {
	testenv.Root(t)
	caps := map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "SCHILY.xattr.user.note": "x"}
	for _, c := range []struct {
		name  string
		in    []tar.Header
		dst   []string
		do    []func(*pb.FileActionCopy)
		owner *Owner
		want  []string
		fails string
	}{
		{
			name: "files", in: []tar.Header{dirEntry("./", 0o700), dirEntry("./d/", 0o2750), file("./d/f", "F"), symEntry("d/l", "/etc"), hardEntry("h", "d/f")},
			want: []string{"p/ 0755 0:0", "p/d/ 2750 7:8", "p/d/f 0640 7:8 =F", "p/d/l -> /etc 0:0", "p/h => p/d/f"},
		},
		{
			name: "implied parents are root's", in: []tar.Header{file("a/b/f", "F")}, owner: &Owner{3, 4},
			want: []string{"p/ 0755 3:4", "p/a/ 0755 0:0", "p/a/b/ 0755 0:0", "p/a/b/f 0640 3:4 =F"},
		},
		{
			name: "chown reaches entries, chmod does not", in: []tar.Header{dirEntry("a", 0o711), file("a/f", "F"), symEntry("s", "f")}, owner: &Owner{3, 4}, do: []func(*pb.FileActionCopy){octal(0o600)},
			want: []string{"p/ 0755 3:4", "p/a/ 0711 3:4", "p/a/f 0640 3:4 =F", "p/s -> f 3:4"},
		},
		{
			name: "into what is there", in: []tar.Header{dirEntry("d", 0o700), file("d/f", "new"), file("g", "new")}, dst: []string{"p/ 711 1:1", "p/d/ 777 1:1", "p/d/f =old", "p/d/k =K", "p/g/x =X"},
			want: []string{"p/ 0711 1:1", "p/d/ 0700 7:8", "p/d/f 0640 7:8 =new", "p/d/k 0644 0:0 =K", "p/g 0640 7:8 =new"},
		},
		{name: "a directory replaces a file", in: []tar.Header{dirEntry("g", 0o700)}, dst: []string{"p/g =G"}, want: []string{"p/ 0755 0:0", "p/g/ 0700 7:8"}},
		{name: "a directory replaces a link", in: []tar.Header{dirEntry("g", 0o700), file("g/f", "F")}, dst: []string{"p/g -> /q", "q/"}, want: []string{"p/ 0755 0:0", "p/g/ 0700 7:8", "p/g/f 0640 7:8 =F", "q/ 0755 0:0"}},
		{
			name: "whiteouts are files", in: []tar.Header{file(".wh.a", ""), file("d/.wh..wh..opq", "")}, dst: []string{"p/a =A"},
			want: []string{"p/ 0755 0:0", "p/.wh.a 0640 7:8 =", "p/a 0644 0:0 =A", "p/d/ 0755 0:0", "p/d/.wh..wh..opq 0640 7:8 ="},
		},
		{
			name: "a hard link's entry speaks for the file", in: []tar.Header{file("f", "F"), {Name: "h", Typeflag: tar.TypeLink, Linkname: "f", Mode: 0o4711, Uid: 1, Gid: 2}},
			want: []string{"p/ 0755 0:0", "p/f 4711 1:2 =F", "p/h => p/f"},
		},
		{
			name: "a hard link's entry takes and gives capabilities",
			in: []tar.Header{
				{Name: "f", Typeflag: tar.TypeReg, Mode: 0o755, PAXRecords: caps},
				{Name: "g", Typeflag: tar.TypeReg, Mode: 0o755},
				{Name: "h", Typeflag: tar.TypeLink, Linkname: "f", Mode: 0o755},
				{Name: "i", Typeflag: tar.TypeLink, Linkname: "g", Mode: 0o755, PAXRecords: caps},
			},
			want: []string{"p/ 0755 0:0", "p/f 0755 0:0 =", "p/g 0755 0:0 = caps 0100000200200000000000000000000000000000", "p/h => p/f", "p/i => p/g"},
		},
		{
			name: "a hard link to a symbolic one", in: []tar.Header{symEntry("s", "x"), hardEntry("h", "s")}, owner: &Owner{3, 4},
			want: []string{"p/ 0755 3:4", "p/h -> x 3:4", "p/s -> x 3:4"},
		},
		{
			name: "the root as slash", in: []tar.Header{dirEntry("/", 0o711), file("f", "F")},
			want: []string{"p/ 0711 7:8", "p/f 0640 7:8 =F"},
		},
		{name: "the root as a file", in: []tar.Header{{Name: "/", Typeflag: tar.TypeSymlink, Linkname: "x"}}, fails: "the root is no directory"},
		{
			name: "only the capability stays", in: []tar.Header{{Name: "f", Typeflag: tar.TypeReg, Mode: 0o4755, PAXRecords: caps}},
			want: []string{"p/ 0755 0:0", "p/f 4755 0:0 = caps 0100000200200000000000000000000000000000"},
		},
		{
			name: "devices", in: []tar.Header{{Name: "c", Typeflag: tar.TypeChar, Mode: 0o600, Devmajor: 1, Devminor: 3}, {Name: "b", Typeflag: tar.TypeBlock, Mode: 0o660, Devmajor: 7}, {Name: "f", Typeflag: tar.TypeFifo, Mode: 0o644}},
			want: []string{"p/ 0755 0:0", "p/b b 0660 0:0 7:0", "p/c c 0600 0:0 1:3", "p/f p 0644 0:0"},
		},
		{name: "no whiteout device", in: []tar.Header{{Name: "c", Typeflag: tar.TypeChar}}, fails: `entry "c": character device 0:0`},
		{name: "global header first", in: []tar.Header{{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}, file("f", "F")}, want: []string{"p/ 0755 0:0", "p/f 0640 7:8 =F"}},
		{name: "twice", in: []tar.Header{file("f", "1"), file("f", "2")}, want: []string{"p/ 0755 0:0", "p/f 0640 7:8 =2"}},

		{name: "out by dots", in: []tar.Header{file("../f", "F")}, fails: `entry "../f": outside of the destination`},
		{name: "out by dots inside", in: []tar.Header{file("a/../../f", "F")}, fails: "outside of the destination"},
		{name: "absolute", in: []tar.Header{file("/etc/f", "F")}, want: []string{"p/ 0755 0:0", "p/etc/ 0755 0:0", "p/etc/f 0640 7:8 =F"}},
		{name: "absolute with dots", in: []tar.Header{file("/../f", "F")}, want: []string{"p/ 0755 0:0", "p/f 0640 7:8 =F"}},
		{name: "through a link out", in: []tar.Header{symEntry("l", "../../.."), file("l/f", "F")}, want: []string{"p/ 0755 0:0", "p/f 0640 7:8 =F", "p/l -> ../../.. 0:0"}},
		{name: "through an absolute link", in: []tar.Header{symEntry("l", "/q"), file("l/f", "F")}, dst: []string{"q/"}, want: []string{"p/ 0755 0:0", "p/l -> /q 0:0", "p/q/ 0755 0:0", "p/q/f 0640 7:8 =F", "q/ 0755 0:0"}},
		{name: "over a link out", in: []tar.Header{symEntry("l", "/q/f"), file("l", "F")}, dst: []string{"q/f =mine"}, want: []string{"p/ 0755 0:0", "p/l 0640 7:8 =F", "q/ 0755 0:0", "q/f 0644 0:0 =mine"}},
		{name: "hard link out", in: []tar.Header{hardEntry("l", "../../q/f")}, dst: []string{"q/f =mine"}, fails: `link to "../../q/f"`},
		{name: "hard link through a link out", in: []tar.Header{symEntry("s", "/q"), hardEntry("l", "s/f")}, dst: []string{"q/f =mine"}, fails: `link to "s/f"`},
		{name: "hard link to nothing", in: []tar.Header{hardEntry("l", "none")}, fails: `entry "l": link to "none"`},
		{name: "below a file", in: []tar.Header{file("a", ""), file("a/b", "")}, fails: `entry "a/b"`},
		{name: "strange type", in: []tar.Header{{Name: "v", Typeflag: 'V'}}, fails: `type 'V'`},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := t.TempDir(), plant(t, c.dst...)
			if err := os.WriteFile(filepath.Join(src, "x"), pack(t, c.in...), 0o600); err != nil {
				t.Fatal(err)
			}
			do := dockerCopy("/x", "/p", append(c.do, unpacking)...)
			err := Copy(context.Background(), open(t, dst), &Source{Dir: open(t, src), Context: true}, do, c.owner)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("error %v, want one with %q", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, list(t, dst)); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
		})
	}
}

// An archive is known by its content, however it is compressed.
func TestUnpackDetects(t *testing.T) {
	testenv.Root(t)
	archive := pack(t, file("f", "F"))
	gz := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Write(b)
		w.Close()
		return out.Bytes()
	}
	xzip := func(b []byte) []byte {
		var out bytes.Buffer
		w, err := xz.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(b)
		w.Close()
		return out.Bytes()
	}
	zst := func(b []byte) []byte {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		return w.EncodeAll(b, nil)
	}
	for _, c := range []struct {
		name    string
		data    []byte
		unpacks bool
	}{
		{"plain", archive, true},
		{"gzip", gz(archive), true},
		{"xz", xzip(archive), true},
		{"zstd", zst(archive), true},
		{"empty", nil, false},
		{"text", []byte("#!/bin/sh\n"), false},
		{"gzip of text", gz([]byte("text")), false},
		{"gzip magic only", []byte("\x1f\x8b\x08"), false},
		{"zeros", make([]byte, 10240), false},
		{"cut header", archive[:300], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			src, dst := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(src, "x.txt"), c.data, 0o600); err != nil {
				t.Fatal(err)
			}
			s := &Source{Dir: open(t, src), Context: true}
			if err := Copy(context.Background(), open(t, dst), s, dockerCopy("/x.txt", "/p/", unpacking), nil); err != nil {
				t.Fatal(err)
			}
			want := "p/x.txt 0600 0:0 =" + string(c.data)
			if c.unpacks {
				want = "p/f 0640 7:8 =F"
			}
			if got := list(t, dst)[1]; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// A broken archive is an error that names the file.
func TestUnpackCut(t *testing.T) {
	testenv.Root(t)
	src := t.TempDir()
	archive := pack(t, file("f", strings.Repeat("F", 5000)))
	if err := os.WriteFile(filepath.Join(src, "x"), archive[:2000], 0o600); err != nil {
		t.Fatal(err)
	}
	err := Copy(context.Background(), open(t, t.TempDir()), &Source{Dir: open(t, src)}, dockerCopy("/x", "/p/", unpacking), nil)
	if err == nil || !strings.Contains(err.Error(), `copy "/x": unpack: entry "f": unexpected EOF`) {
		t.Errorf("error %v", err)
	}
}

func TestUnpackTimes(t *testing.T) {
	testenv.Root(t)
	src, dst := t.TempDir(), t.TempDir()
	late, early := file("late", ""), file("early", "")
	late.ModTime, early.ModTime = time.Unix(1<<40, 0), time.Unix(-5, 0)
	was, is := dirEntry("was", 0o755), file("was", "")
	was.ModTime, is.ModTime = time.Unix(1000, 0), time.Unix(2000, 0)
	archive := pack(t, dirEntry("d", 0o755), file("d/f", ""), symEntry("d/l", "f"), late, early, was, is)
	if err := os.WriteFile(filepath.Join(src, "x"), archive, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Copy(context.Background(), open(t, dst), &Source{Dir: open(t, src)}, dockerCopy("/x", "/", unpacking), nil); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int64{"d": past.UnixNano(), "d/f": past.UnixNano(), "d/l": past.UnixNano(), "late": 0, "early": 0, "was": 1000e9} {
		fi, err := os.Lstat(filepath.Join(dst, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := fi.ModTime().UnixNano(); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// FuzzUnpack feeds archives to a destination that lies beside a directory which
// nothing may touch.
func FuzzUnpack(f *testing.F) {
	testenv.Root(f)
	f.Add(pack(f, dirEntry("a", 0o755), file("a/b", "x"), symEntry("l", "../../out"), file("l/f", "F")))
	f.Add(pack(f, symEntry("a", "/"), symEntry("a/b", ".."), hardEntry("h", "a/b/../out/secret"), file("h", "pwned")))
	f.Add(pack(f, file("../out/secret", "pwned"), file("/../../out/secret", "pwned")))
	f.Add(pack(f, symEntry("d", "../out"), dirEntry("d", 0o700), file("d/secret", "pwned")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		root := plant(t, "src/", "dst/p/", "dst/out/secret 600 =mine", "out/secret 600 =mine")
		if err := os.WriteFile(filepath.Join(root, "src/x"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s := &Source{Dir: open(t, filepath.Join(root, "src"))}
		// An error is fine, getting out is not.
		_ = Copy(ctx, open(t, filepath.Join(root, "dst")), s, dockerCopy("/x", "/p", unpacking), nil)
		for _, dir := range []string{"out", "dst/out"} {
			if diff := cmp.Diff([]string{"secret 0600 0:0 =mine"}, list(t, filepath.Join(root, dir))); diff != "" {
				t.Errorf("%s: (-want +got):\n%s", dir, diff)
			}
		}
	})
}
