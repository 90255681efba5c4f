//go:build linux

package copy_test

import (
	"errors"
	"os"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/snapshot"
	"github.com/mica-build/mica/snapshot/copy"
	"github.com/mica-build/mica/snapshot/snapshottest"
)

func TestConformance(t *testing.T) {
	testenv.Root(t)
	snapshottest.Run(t, func(t testing.TB) snapshot.Mounter { return copy.New(t.TempDir()) })
}

func TestCloseRemovesTheCopy(t *testing.T) {
	temp, lower := t.TempDir(), t.TempDir()
	tree, err := copy.New(temp).Mount(t.Context(), snapshot.Request{Lower: []string{lower}})
	if err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(temp); len(entries) != 1 {
		t.Errorf("%d entries while the tree is open, want 1", len(entries))
	}
	for range 2 {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	}
	if entries, _ := os.ReadDir(temp); len(entries) != 0 {
		t.Errorf("%d entries after close, want none", len(entries))
	}
}

func TestMountInvalid(t *testing.T) {
	tests := []struct {
		name string
		r    snapshot.Request
	}{
		{"nothing", snapshot.Request{}},
		{"no work directory", snapshot.Request{Lower: []string{"/"}, Upper: "/nowhere"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := copy.New("").Mount(t.Context(), tt.r); !errors.Is(err, errs.ErrInvalid) {
				t.Errorf("error %v, want ErrInvalid", err)
			}
		})
	}
}
