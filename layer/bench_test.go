//go:build linux

package layer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// smallFiles is a layer of n files of 1 to 8 KiB, twenty to a directory.
func smallFiles(b *testing.B, n int) []byte {
	b.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	body := mixed(16 << 10)
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for i := range n {
		d := fmt.Sprintf("usr/lib/node_modules/pkg%d/", i/20)
		if i%20 == 0 {
			if err := tw.WriteHeader(&tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: stamp}); err != nil {
				b.Fatal(err)
			}
		}
		size := 1024 + r.IntN(7<<10)
		h := &tar.Header{Name: fmt.Sprintf("%sfile%d.js", d, i), Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(size), ModTime: stamp}
		if err := tw.WriteHeader(h); err != nil {
			b.Fatal(err)
		}
		if _, err := tw.Write(body[i%1000:][:size]); err != nil {
			b.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

// benchDir is in memory where there is such a place: ext4 slows down on trees
// made soon after others were deleted.
func benchDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "layer")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func BenchmarkApply(b *testing.B) {
	data := smallFiles(b, 20_000)
	top := benchDir(b)
	b.SetBytes(int64(len(data)))
	for i := 0; b.Loop(); i++ {
		dir := filepath.Join(top, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			b.Fatal(err)
		}
		if _, err := Apply(b.Context(), bytes.NewReader(data), dir, mine(ApplyOptions{})); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		os.RemoveAll(dir)
		b.StartTimer()
	}
}

func BenchmarkDiffDigest(b *testing.B) {
	dir := benchDir(b)
	data := smallFiles(b, 20_000)
	if _, err := Apply(b.Context(), bytes.NewReader(data), dir, mine(ApplyOptions{})); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := DiffDigest(b.Context(), dir, DiffOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDiffDigestBig(b *testing.B) {
	dir := benchDir(b)
	if err := os.WriteFile(filepath.Join(dir, "f"), mixed(64<<20), 0o644); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(64 << 20)
	for b.Loop() {
		if _, _, err := DiffDigest(b.Context(), dir, DiffOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompress(b *testing.B) {
	data := mixed(32 << 20)
	for _, kind := range []string{"gzip", "zstd"} {
		b.Run(kind, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				w, err := Compress(io.Discard, kind, 0)
				if err != nil {
					b.Fatal(err)
				}
				if err := writePieces(w, data, 256<<10); err != nil {
					b.Fatal(err)
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
