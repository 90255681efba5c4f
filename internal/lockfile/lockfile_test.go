//go:build unix

package lockfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mica-build/mica/errs"
)

func TestModes(t *testing.T) {
	tests := []struct {
		name         string
		first, other Mode
		want         error
	}{
		{"exclusive keeps exclusive out", Exclusive, Exclusive, errs.ErrConflict},
		{"exclusive keeps shared out", Exclusive, Shared, errs.ErrConflict},
		{"shared keeps exclusive out", Shared, Exclusive, errs.ErrConflict},
		{"shared lets shared in", Shared, Shared, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			a, err := Acquire(t.Context(), path, tt.first)
			if err != nil {
				t.Fatal(err)
			}
			b, err := Try(path, tt.other)
			if !errors.Is(err, tt.want) {
				t.Fatalf("second lock: %v, want %v", err, tt.want)
			}
			if b != nil {
				b.Release()
			}
			if err := a.Release(); err != nil {
				t.Fatal(err)
			}
			c, err := Try(path, Exclusive)
			if err != nil {
				t.Fatalf("after release: %v", err)
			}
			c.Release()
		})
	}
}

func TestWaitEndsWithContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, err := Acquire(t.Context(), path, Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Acquire(ctx, path, Exclusive); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want deadline exceeded", err)
	}
	a.Release()
	b, err := Acquire(t.Context(), path, Exclusive)
	if err != nil {
		t.Fatalf("the wait that was given up keeps the lock: %v", err)
	}
	b.Release()
}

// TestRemove checks that locks stay exclusive while the file comes and goes.
func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var wg sync.WaitGroup
	var inside atomic.Int32
	for range 8 {
		wg.Go(func() {
			for range 200 {
				l, err := Acquire(t.Context(), path, Exclusive)
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d holders at once", n)
				}
				inside.Add(-1)
				if err := l.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("lock file is left: %v", err)
	}
}
