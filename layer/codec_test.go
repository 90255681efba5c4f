package layer

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/ulikunitz/xz"

	"github.com/mica-build/mica/errs"
)

// mixed gives n bytes that compress somewhat, the same every time.
func mixed(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, n+64)
	for len(b) < n {
		switch r.IntN(3) {
		case 0:
			b = fmt.Appendf(b, "line %d of %d\n", r.IntN(1000), r.IntN(10))
		case 1:
			b = append(b, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()))
		default:
			b = append(b, b[max(0, len(b)-r.IntN(40_000)-1):][:min(len(b), 10)]...)
		}
	}
	return b[:n]
}

func compress(t testing.TB, kind string, level int, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := Compress(&out, kind, level)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writePieces(w, data, 77_777), w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// writePieces writes data in pieces that need not fit a codec's blocks.
func writePieces(w io.Writer, data []byte, size int) error {
	for len(data) > 0 {
		n := min(len(data), size)
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func decompress(t testing.TB, data []byte) ([]byte, string, error) {
	t.Helper()
	r, name, err := Decompress(bytes.NewReader(data))
	if err != nil {
		return nil, name, err
	}
	out, err := io.ReadAll(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	return out, name, err
}

func TestCompressRoundTrip(t *testing.T) {
	for _, size := range []int{0, 1, 511, gzipBlock - 1, gzipBlock, gzipBlock + 1, 3*gzipBlock + 5} {
		data := mixed(size)
		for kind, levels := range map[string][]int{"": {0}, "gzip": {0, 1, 9}, "zstd": {0, 1, 22}} {
			for i, level := range levels {
				if i > 0 && size != gzipBlock+1 {
					continue // the edges are the same at all levels
				}
				packed := compress(t, kind, level, data)
				got, name, err := decompress(t, packed)
				if err != nil || !bytes.Equal(got, data) || name != kind {
					t.Errorf("%q level %d, %d bytes: %q, %d bytes, %v", kind, level, size, name, len(got), err)
				}
				if kind == "gzip" {
					std, err := gzip.NewReader(bytes.NewReader(packed))
					if err != nil {
						t.Fatal(err)
					}
					if got, err := io.ReadAll(std); err != nil || !bytes.Equal(got, data) {
						t.Errorf("standard library, level %d, %d bytes: %v", level, size, err)
					}
				}
			}
		}
	}
}

// TestCompressGolden pins the bytes: pushed digests must not depend on cores,
// and should not change with a release. A change here is one users see: say so
// in the changelog.
func TestCompressGolden(t *testing.T) {
	data := mixed(3*gzipBlock + 12345)
	for _, tt := range []struct {
		kind  string
		level int
		want  digest.Digest
	}{
		{"gzip", 0, "sha256:3f03fa2c39e1f953609d2cacdef38332f0b8dd83eadf704bd08682499d7948bc"},
		{"gzip", 1, "sha256:5fe232eb1ba9737c7eced042b947bdd6e7c2cd7c14b4307de779b73b85fb7627"},
		{"gzip", 9, "sha256:c575e9726b631490cbcac37f6db9f2147548d8b83dd1fd51126afa7016a03f98"},
		{"zstd", 0, "sha256:e1caa63b8e71f4a2014dd3e72a8593cdcea763be5821e29caaf8a0ca219d1be9"},
	} {
		for _, procs := range []int{1, 4} {
			old := runtime.GOMAXPROCS(procs)
			got := digest.FromBytes(compress(t, tt.kind, tt.level, data))
			runtime.GOMAXPROCS(old)
			if got != tt.want {
				t.Errorf("%s level %d on %d cores: %s, want %s", tt.kind, tt.level, procs, got, tt.want)
			}
		}
	}
}

// TestCompressPieces holds that the sizes of writes do not show.
func TestCompressPieces(t *testing.T) {
	data := mixed(3*gzipBlock + 99)
	for _, kind := range []string{"gzip", "zstd"} {
		want := compress(t, kind, 0, data)
		for _, size := range []int{1000, gzipBlock, len(data)} {
			var out bytes.Buffer
			w, err := Compress(&out, kind, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(writePieces(w, data, size), w.Close()); err != nil || !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s in pieces of %d: other bytes, %v", kind, size, err)
			}
		}
	}
}

// TestZstdConcurrency holds that zstdWorkers may be any number.
func TestZstdConcurrency(t *testing.T) {
	data := mixed(9 << 20)
	var want []byte
	for _, n := range []int{1, 2, 4} {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = out.Bytes()
		}
		if !bytes.Equal(want, out.Bytes()) {
			t.Errorf("other bytes with %d workers", n)
		}
	}
}

// bzip2Hello is "hello\n" as bzip2 1.0.8 writes it.
const bzip2Hello = "QlpoOTFBWSZTWcHAgOIAAAFBAAAQAkSgADDNAMNGKZcXckU4UJDBwIDi"

func TestDecompress(t *testing.T) {
	bz, err := base64.StdEncoding.DecodeString(bzip2Hello)
	if err != nil {
		t.Fatal(err)
	}
	gz := compress(t, "gzip", 0, []byte("hello\n"))
	zs := compress(t, "zstd", 0, []byte("hello\n"))
	var xzBuf bytes.Buffer
	xw, err := xz.NewWriter(&xzBuf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(xw, "hello\n"); err != nil {
		t.Fatal(err)
	}
	if err := xw.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		in   []byte
		kind string
		want string // "" is an error where kind is not ""
	}{
		{"nothing", nil, "", ""},
		{"one byte", []byte{0x1f}, "", "\x1f"},
		{"plain", []byte("plain text"), "", "plain text"},
		{"file name like bzip2", []byte("BZh9.txt\x00\x00"), "", "BZh9.txt\x00\x00"},
		{"gzip", gz, "gzip", "hello\n"},
		{"gzip members", append(bytes.Clone(gz), gz...), "gzip", "hello\nhello\n"},
		{"gzip cut", gz[:len(gz)-3], "gzip", ""},
		{"gzip damaged", flip(gz, len(gz)-6), "gzip", ""},
		{"gzip and junk", append(bytes.Clone(gz), "junk"...), "gzip", ""},
		{"zstd", zs, "zstd", "hello\n"},
		{"zstd frames", append(bytes.Clone(zs), zs...), "zstd", "hello\nhello\n"},
		{"zstd after skippable", append([]byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"), zs...), "zstd", "hello\n"},
		{"zstd cut", zs[:len(zs)-2], "zstd", ""},
		{"xz", xzBuf.Bytes(), "xz", "hello\n"},
		{"xz cut", xzBuf.Bytes()[:xzBuf.Len()-5], "xz", ""},
		{"bzip2", bz, "bzip2", "hello\n"},
		{"bzip2 damaged", flip(bz, 30), "bzip2", ""},
	} {
		got, kind, err := decompress(t, tt.in)
		if kind != tt.kind {
			t.Errorf("%s: taken for %q", tt.name, kind)
		}
		if wantErr := tt.kind != "" && tt.want == ""; (err != nil) != wantErr || err == nil && string(got) != tt.want {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0x55
	return b
}

// TestDecompressWindow refuses a stream that wants more memory than it may.
func TestDecompressWindow(t *testing.T) {
	// A frame with a window descriptor of 2 GiB and one raw block.
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x09, 0x00, 0x00, 'x'}
	if _, _, err := decompress(t, frame); !errors.Is(err, errs.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestDecompressFailingReader(t *testing.T) {
	broken := errors.New("broken")
	if _, _, err := Decompress(io.MultiReader(strings.NewReader("abc"), brokenReader{broken})); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

func TestCompressRefuses(t *testing.T) {
	for _, tt := range []struct {
		kind  string
		level int
		err   error
	}{{"lzma", 0, errs.ErrUnsupported}, {"gzip", 10, errs.ErrInvalid}, {"gzip", -1, errs.ErrInvalid}, {"zstd", 23, errs.ErrInvalid}} {
		if _, err := Compress(io.Discard, tt.kind, tt.level); !errors.Is(err, tt.err) {
			t.Errorf("%s level %d: %v", tt.kind, tt.level, err)
		}
	}
}

// fullWriter fails after some bytes.
type fullWriter struct{ left int }

var errFull = errors.New("full")

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestCompressWriteError(t *testing.T) {
	data := mixed(4 * gzipBlock)
	for _, kind := range []string{"gzip", "zstd"} {
		for _, left := range []int{0, 5, 1000, 500_000} {
			w, err := Compress(&fullWriter{left}, kind, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, werr := w.Write(data)
			if cerr := w.Close(); !errors.Is(errors.Join(werr, cerr), errFull) {
				t.Errorf("%s after %d bytes: %v, %v", kind, left, werr, cerr)
			}
		}
	}
}

// TestGzipCommand holds the gzip program as the judge of our streams.
func TestGzipCommand(t *testing.T) {
	exe, err := exec.LookPath("gzip")
	if err != nil {
		t.Skip("needs gzip")
	}
	data := mixed(3 * gzipBlock)
	cmd := exec.Command(exe, "-dc")
	cmd.Stdin = bytes.NewReader(compress(t, "gzip", 0, data))
	if out, err := cmd.Output(); err != nil || !bytes.Equal(out, data) {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func FuzzDecompress(f *testing.F) {
	for _, kind := range []string{"", "gzip", "zstd"} {
		f.Add(compress(f, kind, 0, []byte("hello hello hello")))
	}
	bz, _ := base64.StdEncoding.DecodeString(bzip2Hello)
	f.Add(bz)
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, name, err := Decompress(bytes.NewReader(data))
		if err != nil {
			return
		}
		out, err := io.ReadAll(io.LimitReader(r, 1<<20))
		if cerr := r.Close(); cerr != nil && err == nil {
			err = cerr
		}
		if name == "" && (err != nil || !bytes.Equal(out, data[:min(len(data), 1<<20)])) {
			t.Errorf("plain bytes changed: %v", err)
		}
	})
}

func FuzzCompress(f *testing.F) {
	f.Add([]byte("hello"), 3, uint8(0))
	f.Fuzz(func(t *testing.T, seed []byte, n int, level uint8) {
		data := bytes.Repeat(seed, max(1, min(n, 200_000)))
		data = data[:min(len(data), 3*gzipBlock)]
		got, _, err := decompress(t, compress(t, "gzip", int(level%10), data))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back as %d: %v", len(data), len(got), err)
		}
	})
}

// A stream can be gone on with from each point, and is the same in the end.
func TestCompressGzipGoesOn(t *testing.T) {
	data := mixed(5*gzipBlock + 12345)
	var whole bytes.Buffer
	points := []GzipPoint{{}}
	press := func(w io.Writer, o GzipOptions, data []byte) error {
		g, err := CompressGzip(w, o)
		if err != nil {
			return err
		}
		if _, err := g.Write(data); err != nil {
			return err
		}
		return g.Close()
	}
	if err := press(&whole, GzipOptions{Reached: func(p GzipPoint) {
		if p.Out != int64(whole.Len()) {
			t.Errorf("%+v was reached with %d bytes written", p, whole.Len())
		}
		points = append(points, p)
	}}, data); err != nil {
		t.Fatal(err)
	}
	if len(points) != 6 {
		t.Errorf("points %+v", points)
	}
	for _, p := range points {
		rest := bytes.NewBuffer(bytes.Clone(whole.Bytes()[:p.Out]))
		if err := press(rest, GzipOptions{From: p}, data); err != nil {
			t.Errorf("from %+v: %v", p, err)
		}
		if !bytes.Equal(rest.Bytes(), whole.Bytes()) {
			t.Errorf("from %+v: other bytes", p)
		}
	}
	for _, p := range []GzipPoint{{In: 1, Out: 1}, {In: gzipBlock}, {Out: 5}, {In: -gzipBlock, Out: 5}} {
		if err := press(io.Discard, GzipOptions{From: p}, data); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("from %+v: %v", p, err)
		}
	}
	if err := press(io.Discard, GzipOptions{From: points[3]}, data[:gzipBlock]); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("with less input: %v", err)
	}
}
