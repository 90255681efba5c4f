package files_test

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server/storage"
)

// fillIndex gives a registry n manifests of four layers each, a tag on each, in
// some repositories.
func fillIndex(b *testing.B, dir string, n, repos int) {
	b.Helper()
	s := open(b, dir)
	const step = 1000
	for from := 0; from < n; from += step {
		repo := fmt.Sprint("repo", from/step%repos)
		must(b, s.Index.Update(b.Context(), repo, func(tx storage.Tx) error {
			for i := range step {
				m := storage.Manifest{Digest: digest.FromString(fmt.Sprint("m", from+i)), Size: 1000, MediaType: image.MediaTypeManifest}
				for l := range 5 {
					d := digest.FromString(fmt.Sprint("l", (from+i)/(l+1), l))
					tx.Link(storage.Link{Digest: d, Size: 1 << 20})
					m.Blobs = append(m.Blobs, d)
				}
				tx.PutManifest(m)
				tx.PutTag(storage.Tag{Name: fmt.Sprint("v", from+i), Digest: m.Digest})
			}
			return nil
		}))
	}
}

// BenchmarkFirstTag is the start of a server with 100,000 manifests until it has
// answered its first question.
func BenchmarkFirstTag(b *testing.B) {
	for _, repos := range []int{1, 100} {
		b.Run(fmt.Sprintf("repositories=%d", repos), func(b *testing.B) {
			dir := b.TempDir()
			fillIndex(b, dir, 100_000, repos)
			for b.Loop() {
				if _, err := open(b, dir).Index.Tag(b.Context(), "repo0", "v0"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCollect looks for garbage among 100,000 manifests and finds none.
func BenchmarkCollect(b *testing.B) {
	dir := b.TempDir()
	fillIndex(b, dir, 100_000, 100)
	for b.Loop() {
		if _, err := storage.CollectGarbage(b.Context(), open(b, dir), storage.GCOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTag is one look at a tag, with the check that nobody has changed it.
func BenchmarkTag(b *testing.B) {
	dir := b.TempDir()
	fillIndex(b, dir, 10_000, 1)
	s := open(b, dir)
	for b.Loop() {
		if _, err := s.Index.Tag(b.Context(), "repo0", "v77"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpdate is the smallest change.
func BenchmarkUpdate(b *testing.B) {
	s := open(b, b.TempDir())
	for b.Loop() {
		must(b, s.Index.Update(b.Context(), "r", func(tx storage.Tx) error {
			tx.Link(storage.Link{Digest: digest.FromString("x"), Size: 1})
			return nil
		}))
	}
}
