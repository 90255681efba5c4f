package files_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server"

	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/files"
	"github.com/mica-build/mica/registry/server/storage/storagetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *storage.Storage {
	t.Helper()
	s, err := files.Open(dir, files.Options{})
	must(t, err)
	return s
}

func TestStorage(t *testing.T) {
	storagetest.Run(t, func(t testing.TB) func() *storage.Storage {
		dir := t.TempDir()
		return func() *storage.Storage { return open(t, dir) }
	})
}

// TestDurable runs the suite with everything on the disk before it is acknowledged.
func TestDurable(t *testing.T) {
	storagetest.Run(t, func(t testing.TB) func() *storage.Storage {
		dir := t.TempDir()
		return func() *storage.Storage {
			s, err := files.Open(dir, files.Options{Durable: true})
			must(t, err)
			return s
		}
	})
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	if _, err := files.Open(dir, files.Options{Existing: true}); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("where there is none: %v", err)
	}
	open(t, dir)
	open(t, dir)
	if _, err := files.Open(dir, files.Options{Existing: true}); err != nil {
		t.Error(err)
	}
	mark := filepath.Join(dir, "registry")
	must(t, os.WriteFile(mark, []byte("mica registry 99\n"), 0o600))
	if _, err := files.Open(dir, files.Options{}); !errors.Is(err, errs.ErrUnsupported) {
		t.Errorf("of another format: %v", err)
	}
	other := t.TempDir()
	must(t, os.WriteFile(filepath.Join(other, "notes"), nil, 0o600))
	if _, err := files.Open(other, files.Options{}); !errors.Is(err, errs.ErrConflict) {
		t.Errorf("a directory of something else: %v", err)
	}
}

// TestFirstOpens lets several open a directory that is not there, and clean up at once.
func TestFirstOpens(t *testing.T) {
	for range 50 {
		dir := filepath.Join(t.TempDir(), "registry")
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				s, err := files.Open(dir, files.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Blobs.Expire(t.Context(), time.Now().Add(-time.Hour), false); err != nil { // empties the trash
					t.Error(err)
				}
				if err := s.Index.Update(t.Context(), "r", func(tx storage.Tx) error {
					tx.Link(storage.Link{Digest: digest.FromString(fmt.Sprint(i)), Size: 1})
					return nil
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if l, err := open(t, dir).Index.Links(t.Context(), "r", storage.Page{}); err != nil || len(l) != 4 {
			t.Errorf("%v, %v", l, err)
		}
	}
}

// TestDamagedIndex checks that nothing is collected while it is not known what is used.
func TestDamagedIndex(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 3 {
		must(t, s.Index.Update(t.Context(), "r", func(tx storage.Tx) error {
			tx.Link(storage.Link{Digest: digest.FromString(fmt.Sprint(i)), Size: 1})
			return nil
		}))
	}
	log := filepath.Join(dir, "repos", "r", "_index.log")
	raw, err := os.ReadFile(log)
	must(t, err)
	raw[40] ^= 1 // in the first record
	must(t, os.WriteFile(log, raw, 0o600))
	check := func(what string) {
		t.Helper()
		s := open(t, dir)
		if _, err := storage.CollectGarbage(t.Context(), s, storage.GCOptions{Grace: -1}); err == nil {
			t.Errorf("%s: garbage was collected", what)
		}
		problems, err := storage.Scrub(t.Context(), s, storage.ScrubOptions{})
		if err != nil || !slices.ContainsFunc(problems, func(p storage.Problem) bool { return p.Repository == "r" && strings.Contains(p.What, "damage") }) {
			t.Errorf("%s: scrub found %v, %v", what, problems, err)
		}
	}
	check("damaged")
	must(t, open(t, dir).Index.Update(t.Context(), "r", func(tx storage.Tx) error {
		tx.Link(storage.Link{Digest: digest.FromString("new"), Size: 1})
		return nil
	}))
	check("damaged, and written on")
	must(t, os.Remove(filepath.Join(dir, "repos", "r", "_index.damaged")))
	_, err = storage.CollectGarbage(t.Context(), open(t, dir), storage.GCOptions{})
	must(t, err)
}

// TestDamagedBlob checks that damage is found, and goes away when the blob is pushed again.
func TestDamagedBlob(t *testing.T) {
	dir := t.TempDir()
	srv := server.New(open(t, dir), server.Options{})
	push := func() int {
		r := httptest.NewRequest("POST", "/v2/r/blobs/uploads/?digest="+digest.FromString("bytes").String(), strings.NewReader("bytes"))
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		return w.Code
	}
	if got := push(); got != 201 {
		t.Fatal(got)
	}
	hex := digest.FromString("bytes").Encoded()
	path := filepath.Join(dir, "blobs", "sha256", hex[:2], hex)
	must(t, os.WriteFile(path, []byte("bites"), 0o600))
	for _, tt := range []struct {
		o    storage.ScrubOptions
		want int
	}{{storage.ScrubOptions{Quick: true}, 0}, {storage.ScrubOptions{}, 1}, {storage.ScrubOptions{Repair: true}, 2}} {
		problems, err := storage.Scrub(t.Context(), open(t, dir), tt.o)
		if err != nil || len(problems) != tt.want {
			t.Errorf("%+v: %v, %v", tt.o, problems, err)
		}
	}
	kept, err := filepath.Glob(filepath.Join(dir, "damaged", "*"))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
	if got := push(); got != 201 {
		t.Fatal(got)
	}
	problems, err := storage.Scrub(t.Context(), open(t, dir), storage.ScrubOptions{})
	if err != nil || len(problems) > 0 {
		t.Errorf("after it was pushed again: %v, %v", problems, err)
	}
}
