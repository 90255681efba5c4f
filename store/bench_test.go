//go:build linux

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// manyNames gives a store with n names.
func manyNames(b *testing.B, n int) *Store {
	s := open(b, "")
	d := target(b, s, "x")
	for i := range n {
		if err := s.Tag(b.Context(), fmt.Sprintf("registry.example.com/group/app-%05d:v1.2.3", i*7919%n), d); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	return s
}

// BenchmarkOpenNames is what `mica images` does of the store.
func BenchmarkOpenNames(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { openNames(b, n) })
	}
}

func openNames(b *testing.B, n int) {
	root := manyNames(b, n).Root()
	for b.Loop() {
		s, err := Open(root, Options{})
		if err != nil {
			b.Fatal(err)
		}
		list, err := s.Names(b.Context())
		if err != nil || len(list) != n {
			b.Fatalf("%d names, %v", len(list), err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNames10kAgain(b *testing.B) {
	s := manyNames(b, 10_000)
	for b.Loop() {
		if _, err := s.Names(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTag(b *testing.B) {
	s := manyNames(b, 100)
	d := target(b, s, "x")
	for b.Loop() {
		if err := s.Tag(b.Context(), "docker.io/library/app:latest", d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewLayerCommit(b *testing.B) {
	s := open(b, "")
	for b.Loop() {
		d, err := s.NewLayer(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d.Dir, "f"), nil, 0o644); err != nil {
			b.Fatal(err)
		}
		if _, err := d.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	s := open(b, "")
	put(b, s, "abcd", commit(b, s, someFiles).ID)
	for b.Loop() {
		if _, err := s.Record(b.Context(), "abcd"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCached is what a rebuild of one step with nothing to do does of the store.
func BenchmarkCached(b *testing.B) {
	s := open(b, "")
	put(b, s, "abcd", commit(b, s, someFiles).ID)
	for b.Loop() {
		s, err := Open(s.Root(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Record(b.Context(), "abcd"); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
