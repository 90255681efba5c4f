//go:build linux

package lockfile

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestAt checks that a byte is one holder's, and bytes are independent.
func TestAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locks")
	offsets := []int64{0, 1, 1 << 40, math.MaxInt64}
	inside := make([]atomic.Int32, len(offsets))
	var wg sync.WaitGroup
	for i := range 4 * len(offsets) {
		wg.Go(func() {
			which := i % len(offsets)
			for range 100 {
				l, err := At(t.Context(), path, offsets[which])
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside[which].Add(1); n != 1 {
					t.Errorf("%d holders of %d at once", n, offsets[which])
				}
				inside[which].Add(-1)
				if err := l.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, off := range offsets { // none waits for another, nor for the file's lock
		l, err := At(t.Context(), path, off)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Release()
	}
	l, err := Try(path, Exclusive)
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
}

func TestAtWaitEndsWithContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locks")
	a, err := At(t.Context(), path, 7)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := At(ctx, path, 7); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v, want deadline exceeded", err)
	}
	a.Release()
	b, err := At(t.Context(), path, 7)
	if err != nil {
		t.Fatalf("the wait that was given up keeps the lock: %v", err)
	}
	b.Release()
}
