//go:build linux

package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/errs"
)

// open gives an empty store, or another handle on the one at root.
func open(t testing.TB, root string) *Store {
	t.Helper()
	if root == "" {
		root = filepath.Join(t.TempDir(), "store")
	}
	s, err := Open(root, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	contenttest.Store(t, func(t testing.TB) content.Store { return open(t, "") })
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name, file, text string
		want             error
	}{
		{"something else", "etc", "", errs.ErrInvalid},
		{"a newer store", "format", "mica store 99\n", errs.ErrUnsupported},
		{"a damaged format", "format", "\x00\x00", errs.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.WriteFile(filepath.Join(root, tt.file), []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(root, Options{}); !errors.Is(err, tt.want) {
				t.Fatalf("open: %v, want %v", err, tt.want)
			}
			entries, err := os.ReadDir(root)
			if err != nil || len(entries) != 1 {
				t.Errorf("the refused directory has %d entries, %v; want it as it was", len(entries), err)
			}
		})
	}
}

// TestLookingWritesNothing checks that a command which only looks leaves the
// store as it is: no lease, no lock file.
func TestLookingWritesNothing(t *testing.T) {
	s := open(t, "")
	d, _ := buildImage(t, s, "x")
	if err := s.Tag(t.Context(), "app", d); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if _, err := s.Names(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Resolve(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadBlob(t.Context(), d.Digest); err != nil {
		t.Fatal(err)
	}
	empty(t, s, "leases", "tmp", "trash")
}

func TestClosed(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.NewLayer(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("new layer: %v, want ErrClosed", err)
	}
}
