package source

import (
	"net/http"
	"testing"
)

func TestOnce(t *testing.T) {
	r := newRepo(t, t.TempDir())
	first := r.commit(map[string]string{"a": "1"})
	web := &webFile{body: "one", header: http.Header{"Etag": {`"1"`}}}
	u := serve(t, web)
	cache := t.TempDir()
	for _, once := range []bool{true, false} {
		c := &Client{CacheDir: cache, AllowLocal: true, Once: once}
		look := func() (string, string) {
			t.Helper()
			git, err := c.ResolveGit(t.Context(), GitRequest{URL: r.dir})
			if err != nil {
				t.Fatal(err)
			}
			return git.Commit, mustFetch(t, c, HTTPRequest{URL: u}).Digest.String()
		}
		commit, body := look()
		if once && commit != first {
			t.Fatalf("commit is %s, want %s", commit, first)
		}
		r.commit(map[string]string{"a": commit})
		web.body, web.header = commit, http.Header{"Etag": {`"` + commit + `"`}}
		commit2, body2 := look()
		if same := commit == commit2 && body == body2; same != once {
			t.Errorf("once=%v: %s %s, then %s %s", once, commit, body, commit2, body2)
		}
	}
}
