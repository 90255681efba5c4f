//go:build linux

package fileop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mica-build/mica/build/statindex"
	"github.com/mica-build/mica/internal/testenv"
)

// bigTree makes a tree of n small files, 50 to a directory.
func bigTree(b *testing.B, n int) string {
	root := b.TempDir()
	for i := range n {
		dir := filepath.Join(root, fmt.Sprintf("pkg%02d/sub%03d", i/1000, i/50))
		if i%50 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		data := make([]byte, 200+i%4000)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%05d.go", i)), data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return root
}

// BenchmarkDigest is a no-op rebuild's look at a context of 10,000 files.
func BenchmarkDigest(b *testing.B) {
	root := bigTree(b, 10000)
	for _, c := range []struct {
		name   string
		ignore []string
		stage  bool
	}{
		{name: "plain"},
		{name: "ignore", ignore: []string{".git", "node_modules", "**/*.log", "**/tmp/*.o", "dist/**", "!dist/keep", "*.md"}},
		{name: "stage", stage: true},
	} {
		b.Run(c.name, func(b *testing.B) {
			index, err := statindex.Open(nil)
			if err != nil {
				b.Fatal(err)
			}
			src := &Source{Dir: open(b, root), Context: !c.stage, Digests: index, Exclude: c.ignore}
			if _, err := Digest(context.Background(), src, dockerCopy("/", "/")); err != nil {
				b.Fatal(err)
			}
			if index, err = statindex.Open(index.Marshal()); err != nil {
				b.Fatal(err)
			}
			src.Digests = index
			for b.Loop() {
				if _, err := Digest(context.Background(), src, dockerCopy("/", "/")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCopy copies 20,000 small files into an empty directory.
func BenchmarkCopy(b *testing.B) {
	testenv.Root(b)
	src := &Source{Dir: open(b, bigTree(b, 20000)), Context: true}
	for b.Loop() {
		b.StopTimer()
		dst := open(b, b.TempDir())
		b.StartTimer()
		if err := Copy(context.Background(), dst, src, dockerCopy("/", "/"), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/20000, "µs/file")
}
