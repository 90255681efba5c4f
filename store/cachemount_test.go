//go:build linux

package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func cacheMount(t testing.TB, s *Store, id string, sharing Sharing) (string, func()) {
	t.Helper()
	dir, release, err := s.CacheMount(t.Context(), id, sharing, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return dir, release
}

func TestCacheMountSharing(t *testing.T) {
	s := open(t, "")
	a, releaseA := cacheMount(t, s, "go", Shared)
	b, releaseB := cacheMount(t, s, "go", Shared)
	if a != b {
		t.Errorf("two shared users got %s and %s", a, b)
	}
	p, releaseP := cacheMount(t, s, "go", Private)
	if p == a {
		t.Error("a private user got the directory of shared ones")
	}
	if other, _ := cacheMount(t, s, "npm", Shared); other == a {
		t.Error("another id got the same directory")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, err := s.CacheMount(ctx, "go", Locked, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("locked beside shared users: %v, want it to wait", err)
	}
	releaseA()
	releaseB()
	releaseP()
	locked, release := cacheMount(t, s, "go", Locked)
	if locked != a {
		t.Errorf("after all have gone: %s, want %s", locked, a)
	}
	got := make(chan string)
	go func() {
		dir, release, err := s.CacheMount(context.Background(), "go", Locked, nil)
		if err != nil {
			t.Error(err)
		} else {
			release()
		}
		got <- dir
	}()
	select {
	case <-got:
		t.Error("two locked users at once")
	case <-time.After(20 * time.Millisecond):
	}
	release()
	if dir := <-got; dir != a {
		t.Errorf("the one who waited got %s, want %s", dir, a)
	}
}

func TestCacheMountFill(t *testing.T) {
	s := open(t, "")
	broken := errors.New("broken")
	if _, _, err := s.CacheMount(t.Context(), "id", Shared, func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "half"), nil, 0o644); err != nil {
			return err
		}
		return broken
	}); !errors.Is(err, broken) {
		t.Fatalf("error %v, want the one of fill", err)
	}
	fills := 0
	fill := func(dir string) error {
		fills++
		return os.WriteFile(filepath.Join(dir, "full"), nil, 0o644)
	}
	for range 2 {
		dir, release, err := s.CacheMount(t.Context(), "id", Locked, fill)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "full")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "half")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what a failed fill left is seen: %v", err)
		}
		release()
	}
	if fills != 1 {
		t.Errorf("filled %d times, want once", fills)
	}
}

func TestPruneCacheMounts(t *testing.T) {
	s := open(t, "")
	busy, _ := cacheMount(t, s, "busy", Shared)
	idle, release := cacheMount(t, s, "idle", Shared)
	release()
	kept, release := cacheMount(t, s, "kept", Shared)
	release()
	list, err := s.CacheMounts(t.Context())
	if err != nil || len(list) != 3 {
		t.Fatalf("%d cache mounts, %v, want 3", len(list), err)
	}
	for _, c := range list {
		if c.InUse != (c.ID == "busy") || c.Usage <= 0 || time.Since(c.LastUsed) > time.Minute {
			t.Errorf("cache mount %+v", c)
		}
	}
	o := PruneOptions{CacheMounts: func(c CacheMountInfo) bool { return c.ID != "kept" }}
	r, err := s.Prune(t.Context(), o)
	if err != nil || r.CacheMounts != 1 {
		t.Errorf("pruned %d cache mounts, %v, want 1", r.CacheMounts, err)
	}
	for dir, want := range map[string]bool{busy: true, idle: false, kept: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", dir, err == nil, want)
		}
	}
	again, release := cacheMount(t, s, "idle", Locked)
	defer release()
	if _, err := os.Stat(again); err != nil {
		t.Error(err)
	}
}
