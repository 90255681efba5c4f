//go:build linux

package record

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/store"
)

func open(t *testing.T) *Folder {
	t.Helper()
	testenv.Root(t)
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewFolder(s)
}

// id is a container's ID of one digit.
func id(digit string) string { return strings.Repeat(digit, 64) }

func create(t *testing.T, f *Folder, digit, name string) *Container {
	t.Helper()
	d, err := f.store.WriteBlob(t.Context(), image.MediaTypeManifest, []byte(`{"schemaVersion":2,"config":{},"layers":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Create(t.Context(), Config{ID: id(digit), Name: name, Created: time.Now(), Manifest: d})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func names(t *testing.T, f *Folder) (out []string) {
	t.Helper()
	list, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		out = append(out, c.Name)
	}
	return out
}

func TestFolder(t *testing.T) {
	f := open(t)
	if got := names(t, f); len(got) > 0 {
		t.Errorf("of nothing: %q", got)
	}
	a := create(t, f, "a", "one")
	create(t, f, "b", "two")
	if diff := cmp.Diff([]string{"two", "one"}, names(t, f)); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{"one": "a", "/one": "a", id("b"): "b", "bb": "b", "a": "a"} {
		if c, err := f.Find(name); err != nil || c.ID != id(want) {
			t.Errorf("find %q: %v", name, err)
		}
	}
	for _, name := range []string{"", "three", "c", "../one", "one/..", "/"} {
		if _, err := f.Find(name); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("find %q: %v", name, err)
		}
	}
	var taken *NameTakenError
	if _, err := f.Create(t.Context(), Config{ID: id("c"), Name: "one"}); !errors.As(err, &taken) || taken.By != a.ID || !errors.Is(err, errs.ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := f.Rename(a, "two"); !errors.Is(err, errs.ErrExists) {
		t.Errorf("rename to a name that is taken: %v", err)
	}
	if err := f.Rename(a, "uno"); err != nil {
		t.Error(err)
	}
	if _, err := f.Find("one"); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("the old name: %v", err)
	}
	if err := f.Remove(a); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"two"}, names(t, f)); diff != "" {
		t.Error(diff)
	}
	if _, err := f.Again(a); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("one that is gone: %v", err)
	}
}

// TestPrefixOfSeveral is the beginning of two IDs.
func TestPrefixOfSeveral(t *testing.T) {
	f := open(t)
	for _, end := range []string{"1", "2"} {
		if _, err := f.Create(t.Context(), Config{ID: strings.Repeat("a", 63) + end, Name: "n" + end}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Find("aa"); !errors.Is(err, errs.ErrConflict) {
		t.Error(err)
	}
}

// TestKept tells those that a monitor keeps from those that have lost it.
func TestKept(t *testing.T) {
	f := open(t)
	c := create(t, f, "a", "one")
	lock, err := f.Keep(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.SetState(c, State{Status: Running, PID: 7, Started: time.Now()}); err != nil {
		t.Fatal(err)
	}
	got, err := f.Find("one")
	if err != nil || !got.Kept || got.State.Status != Running {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := f.Keep(t.Context(), c); !errors.Is(err, errs.ErrConflict) {
		t.Errorf("kept twice: %v", err)
	}
	if err := lock.Release(); err != nil { // as the kernel does it for a process that dies
		t.Fatal(err)
	}
	got, err = f.Find("one")
	if err != nil || got.Kept || got.State.Status != Exited || got.State.ExitCode != 255 || got.State.Error == "" || got.State.Finished.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestAutoRemove removes what was to go and has lost its monitor.
func TestAutoRemove(t *testing.T) {
	f := open(t)
	c := create(t, f, "a", "one")
	to := c.Config
	to.AutoRemove = true
	if err := f.SetConfig(c, to); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one"}, names(t, f)); diff != "" {
		t.Error(diff) // it has not run yet
	}
	if err := f.SetState(c, State{Status: Running}); err != nil {
		t.Fatal(err)
	}
	if got := names(t, f); len(got) > 0 {
		t.Errorf("it is there: %q", got)
	}
}

// TestHalfMade reads what a process that was killed has left.
func TestHalfMade(t *testing.T) {
	f := open(t)
	create(t, f, "a", "one")
	if err := os.Mkdir(f.path(id("b")), 0o700); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	if err := os.Chtimes(f.path(id("b")), long, long); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../"+id("b"), f.namePath("two")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one"}, names(t, f)); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(f.path(id("b"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was left: %v", err)
	}
	if _, err := f.Find("two"); !errors.Is(err, errs.ErrNotFound) {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(f.path(id("a")), "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := f.List(); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("a record that is damaged: %v", err)
	}
}

// TestOneName has many processes that want one name.
func TestOneName(t *testing.T) {
	f := open(t)
	var wg sync.WaitGroup
	made := make(chan string, 16)
	for i := range 16 {
		wg.Go(func() {
			c, err := f.Create(context.Background(), Config{ID: id(string("0123456789abcdef"[i])), Name: "one"})
			if err == nil {
				made <- c.ID
			}
		})
	}
	wg.Wait()
	close(made)
	if len(made) != 1 {
		t.Errorf("%d containers have the name", len(made))
	}
}
