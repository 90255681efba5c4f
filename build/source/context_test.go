package source

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/mica-build/mica/errs"
)

func TestParseContext(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.MkdirAll("github.com/here/now", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		arg  string
		want Kind
		err  error
	}{
		{arg: "-", want: Stdin},
		{arg: ".", want: Dir},
		{arg: dir, want: Dir},
		{arg: "github.com/here/now", want: Dir},
		{arg: "github.com/x/y", want: Git},
		{arg: "https://github.com/x/y.git", want: Git},
		{arg: "https://github.com/x/y.git#main:sub", want: Git},
		{arg: "https://github.com/x/y.git?branch=main&subdir=x", want: Git},
		{arg: "git@github.com:x/y", want: Git},
		{arg: "ssh://git@github.com/x/y", want: Git},
		{arg: "git://github.com/x/y", want: Git},
		{arg: "https://github.com/x/y", want: HTTP},
		{arg: "http://example.com/x.tar.gz", want: HTTP},
		{arg: "https://github.com/x/y.git?branch=a&tag=b", err: errs.ErrInvalid},
		{arg: "https://github.com/x/y.git?nope=a", err: errs.ErrInvalid},
		{arg: "file", err: errs.ErrInvalid},
		{arg: "nowhere", err: errs.ErrNotFound},
		{arg: "./github.com/x/y", err: errs.ErrNotFound},
		{arg: "ftp://example.com/x", err: errs.ErrNotFound},
		{arg: "", err: errs.ErrNotFound},
	}
	for _, tt := range tests {
		got, err := ParseContext(tt.arg)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%q: got %q, %v; want %q, %v", tt.arg, got, err, tt.want, tt.err)
		}
	}
}

// bzip2 of a tar with one file "a" from 2024-01-02 03:04:05 UTC: the standard
// library only reads this format.
const bzip2Tar = "QlpoOTFBWSZTWfN3kBsAACzbgMiAQABngAAA4AAeAAAoIABUV6QyBkHqCU0QEYRmJ8GUDAtXoeWnRgTK7+oIQGXB1FkVfCBFWKtSR9wksB8XckU4UJDzd5Ab"

func makeTar(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compressed(t testing.TB, format string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch format {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "xz":
		w, err = xz.NewWriter(&b)
	case "zstd", "zstd skippable":
		if format != "zstd" {
			b.WriteString("\x51\x2a\x4d\x18\x01\x00\x00\x00x")
		}
		w, err = zstd.NewWriter(&b)
	default:
		return data
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestArchives(t *testing.T) {
	old, recent := time.Unix(1000, 0).UTC(), time.Unix(2000, 0).UTC()
	data := makeTar(t,
		tar.Header{Name: "d/", Typeflag: tar.TypeDir, ModTime: recent.Add(time.Hour)},
		tar.Header{Name: "b", Typeflag: tar.TypeReg, ModTime: recent},
		tar.Header{Name: "a", Typeflag: tar.TypeReg, ModTime: old},
		tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "a", ModTime: recent.Add(time.Hour)},
	)
	for _, format := range []string{"bare", "gzip", "xz", "zstd", "zstd skippable"} {
		t.Run(format, func(t *testing.T) {
			raw := compressed(t, format, data)
			path, kind, err := SpoolStdin(iotest.OneByteReader(bytes.NewReader(raw)), t.TempDir())
			if err != nil || kind != Tar {
				t.Fatalf("got %s, %v; want tar", kind, err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, raw) {
				t.Errorf("spooled other bytes than came (%v)", err)
			}
			if got, err := NewestInTar(bytes.NewReader(raw)); err != nil || !got.Equal(recent) {
				t.Errorf("newest is %v (%v), want %v", got, err, recent)
			}
		})
	}
	t.Run("bzip2", func(t *testing.T) {
		raw, err := base64.StdEncoding.DecodeString(bzip2Tar)
		if err != nil {
			t.Fatal(err)
		}
		if !DetectArchive(raw) {
			t.Error("not detected")
		}
		if got, err := NewestInTar(bytes.NewReader(raw)); err != nil || !got.Equal(commitTime) {
			t.Errorf("newest is %v (%v), want %v", got, err, commitTime)
		}
	})
}

func TestDetectArchive(t *testing.T) {
	long := makeTar(t, tar.Header{Name: strings.Repeat("x/", 700) + "y", Typeflag: tar.TypeReg})
	tests := []struct {
		name string
		data []byte
		want bool
	}{
		{name: "nothing"},
		{name: "Dockerfile", data: []byte("FROM scratch\n")},
		{name: "long Dockerfile", data: []byte(strings.Repeat("RUN x\n", 500))},
		{name: "spaces", data: bytes.Repeat([]byte(" "), 1024)},
		{name: "empty tar", data: makeTar(t), want: true},
		{name: "tar that starts with a long extended header", data: long[:archiveHeader], want: true},
		{name: "half a header", data: long[:511]},
	}
	for _, tt := range tests {
		if got := DetectArchive(tt.data); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestSpoolStdinDockerfile(t *testing.T) {
	path, kind, err := SpoolStdin(strings.NewReader("FROM scratch\n"), t.TempDir())
	if err != nil || kind != Dockerfile {
		t.Fatalf("got %s, %v; want dockerfile", kind, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "FROM scratch\n" {
		t.Errorf("spooled %q (%v)", got, err)
	}
}

func TestSpoolStdinBreaks(t *testing.T) {
	dir := t.TempDir()
	for _, r := range []io.Reader{
		iotest.ErrReader(io.ErrClosedPipe),
		io.MultiReader(strings.NewReader(strings.Repeat("x", 2000)), iotest.ErrReader(io.ErrClosedPipe)),
	} {
		if _, _, err := SpoolStdin(r, dir); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v, want ErrClosedPipe", err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 0 {
		t.Errorf("left behind %v (%v)", left, err)
	}
}

func FuzzNewestInTar(f *testing.F) {
	data := makeTar(f, tar.Header{Name: "a", Typeflag: tar.TypeReg, ModTime: time.Unix(1, 0)})
	for _, format := range []string{"bare", "gzip", "xz", "zstd"} {
		f.Add(compressed(f, format, data))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := NewestInTar(bytes.NewReader(raw))
		if err == nil && len(raw) >= 512 && !DetectArchive(raw) {
			t.Error("an archive that was not detected")
		}
	})
}
