package source

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestPrune(t *testing.T) {
	r := newRepo(t, t.TempDir())
	r.commit(map[string]string{"a": "1"})
	web := &webFile{body: "content", header: http.Header{"Etag": {`"1"`}}}
	u := serve(t, web)
	c := localClient(t)
	use := func() {
		t.Helper()
		mustFetch(t, c, HTTPRequest{URL: u})
		if _, _, err := checkOut(t, c, GitRequest{URL: r.dir}); err != nil {
			t.Fatal(err)
		}
	}
	use()
	if err := os.MkdirAll(filepath.Join(c.CacheDir, "git", "tmp-left", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Prune(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("pruning what was just used freed %d bytes, %v", n, err)
	}

	// What is used again stays, although it was old.
	old := time.Now().Add(-2 * time.Hour)
	age := func() {
		t.Helper()
		all, err := filepath.Glob(filepath.Join(c.CacheDir, "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		bodies, err := filepath.Glob(filepath.Join(c.CacheDir, "http", "body", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range append(all, bodies...) {
			if err := os.Chtimes(path, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	age()
	if err := os.RemoveAll(filepath.Join(c.CacheDir, "git", "tmp-left")); err != nil {
		t.Fatal(err)
	}
	use()
	if n, err := c.Prune(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("pruning what was used again freed %d bytes, %v", n, err)
	}

	age()
	if n, err := c.Prune(t.Context(), time.Now().Add(-time.Hour)); n < int64(len("content")) || err != nil {
		t.Errorf("pruning old things freed %d bytes, %v", n, err)
	}
	for _, pattern := range []string{"http/*.json", "http/body/*", "git/*[^k]"} {
		if left, err := filepath.Glob(filepath.Join(c.CacheDir, pattern)); err != nil || len(left) != 0 {
			t.Errorf("left %v (%v)", left, err)
		}
	}
	use()
}

func TestPruneNothing(t *testing.T) {
	if n, err := (&Client{CacheDir: filepath.Join(t.TempDir(), "none")}).Prune(t.Context(), time.Now()); n != 0 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}
