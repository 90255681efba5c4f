package source

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/testenv"
)

// secretMap is a set of secrets by id.
type secretMap map[string]string

func (m secretMap) Secret(_ context.Context, id string) ([]byte, error) {
	v, ok := m[id]
	if !ok {
		return nil, fmt.Errorf("secret %s: %w", id, errs.ErrNotFound)
	}
	return []byte(v), nil
}

// A webFile is a file on a test server; its requests are counted by method.
type webFile struct {
	mu     sync.Mutex
	body   string
	header http.Header
	code   int
	// plain servers ignore If-None-Match.
	plain bool
	// noHead servers refuse HEAD.
	noHead bool
	seen   []string
	last   http.Header
}

func (f *webFile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, r.Method)
	f.last = r.Header.Clone()
	if f.noHead && r.Method == http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	for k, v := range f.header {
		w.Header()[k] = v
	}
	if tag := f.header.Get("ETag"); tag != "" && !f.plain && r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if f.code != 0 {
		w.WriteHeader(f.code)
		return
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(f.body)))
	if r.Method != http.MethodHead {
		io.WriteString(w, f.body)
	}
}

func (f *webFile) requests() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.seen, " ")
	f.seen = nil
	return s
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func mustFetch(t testing.TB, c *Client, r HTTPRequest) *HTTPResult {
	t.Helper()
	res, err := c.FetchHTTP(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestFetchHTTPRevalidates(t *testing.T) {
	const date = "Tue, 02 Jan 2024 03:04:05 GMT"
	tests := []struct {
		name   string
		header http.Header
		plain  bool
		noHead bool
		// second is what the second fetch of an unchanged file sends.
		second string
	}{
		{name: "entity tag", header: http.Header{"Etag": {`"a"`}}, second: "HEAD"},
		{name: "weak tag", header: http.Header{"Etag": {`W/"a"`}}, second: "HEAD"},
		{name: "server ignores If-None-Match", header: http.Header{"Etag": {`"a"`}}, plain: true, second: "HEAD"},
		{name: "server refuses HEAD", header: http.Header{"Etag": {`"a"`}}, noHead: true, second: "HEAD GET"},
		{name: "date and length", header: http.Header{"Last-Modified": {date}}, second: "HEAD"},
		{name: "nothing to go by", second: "GET"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &webFile{body: "one", header: tt.header, plain: tt.plain, noHead: tt.noHead}
			c := &Client{CacheDir: t.TempDir()}
			req := HTTPRequest{URL: serve(t, f) + "/x"}
			first := mustFetch(t, c, req)
			if got := f.requests(); got != "GET" {
				t.Errorf("first fetch sent %q, want GET", got)
			}
			second := mustFetch(t, c, req)
			if got := f.requests(); got != tt.second {
				t.Errorf("second fetch sent %q, want %q", got, tt.second)
			}
			if diff := cmp.Diff(first, second, cmp.AllowUnexported(HTTPResult{}, httpAttrs{})); diff != "" {
				t.Errorf("second result differs (-first +second):\n%s", diff)
			}
			f.body, f.header = "other", http.Header{"Etag": {`"b"`}}
			third := mustFetch(t, c, req)
			if want := digest.FromString("other"); third.Digest != want {
				t.Errorf("after a change: digest %s, want %s", third.Digest, want)
			}
		})
	}
}

func TestFetchHTTPSameDateOtherLength(t *testing.T) {
	f := &webFile{body: "one", header: http.Header{"Last-Modified": {"Tue, 02 Jan 2024 03:04:05 GMT"}}}
	c := &Client{CacheDir: t.TempDir()}
	req := HTTPRequest{URL: serve(t, f) + "/x"}
	mustFetch(t, c, req)
	f.body = "three"
	if got, want := mustFetch(t, c, req).Digest, digest.FromString("three"); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func TestFetchHTTPBodyGone(t *testing.T) {
	f := &webFile{body: "one", header: http.Header{"Etag": {`"a"`}}}
	c := &Client{CacheDir: t.TempDir()}
	req := HTTPRequest{URL: serve(t, f) + "/x"}
	res := mustFetch(t, c, req)
	if err := os.Remove(res.Path); err != nil {
		t.Fatal(err)
	}
	f.requests()
	mustFetch(t, c, req)
	if got := f.requests(); got != "GET" {
		t.Errorf("sent %q, want a plain GET", got)
	}
}

func TestFetchHTTPChecksum(t *testing.T) {
	f := &webFile{body: "one", header: http.Header{"Last-Modified": {"Tue, 02 Jan 2024 03:04:05 GMT"}}}
	c := &Client{CacheDir: t.TempDir()}
	u := serve(t, f) + "/dir/x.txt"
	pin := func(s string) HTTPRequest {
		return HTTPRequest{URL: u, Attrs: map[string]string{"http.checksum": digest.FromString(s).String()}}
	}

	resolved, err := c.ResolveHTTP(t.Context(), pin("one"))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.requests(); got != "" {
		t.Errorf("resolving a pinned URL sent %q, want nothing", got)
	}
	fetched := mustFetch(t, c, pin("one"))
	if resolved.Key != fetched.Key {
		t.Errorf("key changes with the fetch: %s, then %s", resolved.Key, fetched.Key)
	}
	if fetched.LastModified == nil || fetched.Path == "" || fetched.Filename != "x.txt" {
		t.Errorf("result %+v lacks its date, path or name", fetched)
	}
	f.requests()
	mustFetch(t, c, pin("one"))
	if got := f.requests(); got != "" {
		t.Errorf("fetching a pinned body again sent %q, want nothing", got)
	}
	if _, err := c.FetchHTTP(t.Context(), pin("two")); !errors.Is(err, errs.ErrDigest) {
		t.Errorf("wrong checksum: got %v, want ErrDigest", err)
	}
	f.body = "two"
	if got, want := mustFetch(t, c, pin("two")).Digest, digest.FromString("two"); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func TestFetchHTTPStatus(t *testing.T) {
	tests := []struct {
		code     int
		want     error
		requests string
	}{
		{http.StatusNotFound, errs.ErrNotFound, "GET"},
		{http.StatusUnauthorized, errs.ErrUnauthorized, "GET"},
		{http.StatusForbidden, errs.ErrUnauthorized, "GET"},
		{http.StatusServiceUnavailable, nil, "GET GET GET"},
		{http.StatusTeapot, nil, "GET"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			f := &webFile{code: tt.code}
			c := &Client{CacheDir: t.TempDir()}
			_, err := c.FetchHTTP(t.Context(), HTTPRequest{URL: serve(t, f) + "/x"})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if got := f.requests(); got != tt.requests {
				t.Errorf("sent %q, want %q", got, tt.requests)
			}
		})
	}
}

func TestFetchHTTPBrokenBody(t *testing.T) {
	var n atomic.Int32
	u := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "3")
		if n.Add(1) == 1 {
			io.WriteString(w, "o")
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, "one")
	}))
	c := &Client{CacheDir: t.TempDir()}
	if got, want := mustFetch(t, c, HTTPRequest{URL: u}).Digest, digest.FromString("one"); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
	left, err := filepath.Glob(filepath.Join(c.CacheDir, "http", "body", "tmp-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind %v (%v)", left, err)
	}
}

func TestFetchHTTPUnpacksTransportCompression(t *testing.T) {
	u := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, "one")
		z.Close()
	}))
	c := &Client{CacheDir: t.TempDir()}
	if got, want := mustFetch(t, c, HTTPRequest{URL: u}).Digest, digest.FromString("one"); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

func TestFetchHTTPCredentials(t *testing.T) {
	host := "127.0.0.1"
	tests := []struct {
		name    string
		secrets secretMap
		attrs   map[string]string
		want    string
		wantErr error
	}{
		{name: "none", want: ""},
		{name: "token of the host", secrets: secretMap{"HTTP_AUTH_TOKEN_" + host: "t0k\n"}, want: "Bearer t0k"},
		{name: "header of the host", secrets: secretMap{"HTTP_AUTH_HEADER_" + host: "Basic eA=="}, want: "Basic eA=="},
		{name: "token before header", secrets: secretMap{"HTTP_AUTH_HEADER_" + host: "h", "HTTP_AUTH_TOKEN_" + host: "t"}, want: "Bearer t"},
		{name: "another host's", secrets: secretMap{"HTTP_AUTH_TOKEN_example.com": "t"}, want: ""},
		{name: "named", secrets: secretMap{"mine": "Custom v", "HTTP_AUTH_TOKEN_" + host: "t"}, attrs: map[string]string{"http.authheadersecret": "mine"}, want: "Custom v"},
		{name: "named and missing", attrs: map[string]string{"http.authheadersecret": "mine"}, wantErr: errs.ErrNotFound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &webFile{body: "x"}
			c := &Client{CacheDir: t.TempDir(), Secrets: tt.secrets}
			_, err := c.FetchHTTP(t.Context(), HTTPRequest{URL: serve(t, f) + "/x", Attrs: tt.attrs})
			if !errors.Is(err, tt.wantErr) {
				t.Fatalf("got error %v, want %v", err, tt.wantErr)
			}
			if err == nil && f.last.Get("Authorization") != tt.want {
				t.Errorf("sent Authorization %q, want %q", f.last.Get("Authorization"), tt.want)
			}
		})
	}
}

func TestFetchHTTPDropsCredentialsOffTLS(t *testing.T) {
	f := &webFile{body: "x"}
	plain := serve(t, f)
	tls := httptest.NewTLSServer(http.RedirectHandler(plain+"/y", http.StatusFound))
	t.Cleanup(tls.Close)
	c := &Client{CacheDir: t.TempDir(), HTTP: tls.Client(), Secrets: secretMap{"HTTP_AUTH_TOKEN_127.0.0.1": "t"}}
	mustFetch(t, c, HTTPRequest{URL: tls.URL + "/x"})
	if got := f.last.Get("Authorization"); got != "" {
		t.Errorf("sent Authorization %q in the clear", got)
	}
}

func TestHTTPErrorsHideCredentials(t *testing.T) {
	c := &Client{CacheDir: t.TempDir()}
	gone := serve(t, http.NotFoundHandler())
	for _, u := range []string{
		strings.Replace(gone, "://", "://geheim:geheim@", 1) + "/x?sig=geheim",
		"https://geheim@127.0.0.1:1/x",
		"https://geheim:geheim@127.0.0.1:bad/x",
		"ftp://geheim:geheim@127.0.0.1/x",
		"http://geheim:geheim@127.0.0.1/%zz",
	} {
		_, err := c.FetchHTTP(t.Context(), HTTPRequest{URL: u})
		if err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: error %v, want one without credentials", u, err)
		}
	}
	raw, err := os.ReadDir(filepath.Join(c.CacheDir, "http"))
	if err != nil || len(raw) == 0 {
		t.Fatal("nothing was tried", err)
	}
}

func TestFetchHTTPHeaders(t *testing.T) {
	f := &webFile{body: "x"}
	c := &Client{CacheDir: t.TempDir()}
	req := HTTPRequest{URL: serve(t, f), Attrs: map[string]string{"http.header.accept": "text/x", "http.header.user-agent": "me", "http.header.cookie": "no"}}
	mustFetch(t, c, req)
	if f.last.Get("Accept") != "text/x" || f.last.Get("User-Agent") != "me" || f.last.Get("Cookie") != "" {
		t.Errorf("sent headers %v", f.last)
	}
}

func TestFetchHTTPFilename(t *testing.T) {
	tests := []struct {
		name, path, disposition, asked, want string
	}{
		{name: "last segment", path: "/a/b.tgz", want: "b.tgz"},
		{name: "escaped", path: "/a/b%20c", want: "b c"},
		{name: "escaped slash", path: "/a/..%2f..%2fb", want: "b"},
		{name: "no path", path: "", want: "download"},
		{name: "dots", path: "/a/..", want: "download"},
		{name: "server proposes", path: "/x", disposition: `attachment; filename="p.txt"`, want: "p.txt"},
		{name: "server tries to climb", path: "/x", disposition: `attachment; filename="../../p.txt"`, want: "p.txt"},
		{name: "server sends control characters", path: "/x", disposition: "attachment; filename*=UTF-8''a%0Ab", want: "download"},
		{name: "asked for", path: "/x", disposition: `attachment; filename="p.txt"`, asked: "context", want: "context"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &webFile{body: "x", header: http.Header{"Content-Disposition": {tt.disposition}}}
			c := &Client{CacheDir: t.TempDir()}
			res := mustFetch(t, c, HTTPRequest{URL: serve(t, f) + tt.path, Attrs: map[string]string{"http.filename": tt.asked}})
			if res.Filename != tt.want {
				t.Errorf("got name %q, want %q", res.Filename, tt.want)
			}
		})
	}
}

func TestHTTPKey(t *testing.T) {
	f := &webFile{body: "x", header: http.Header{"Last-Modified": {"Tue, 02 Jan 2024 03:04:05 GMT"}, "Etag": {`"1"`}}}
	c := &Client{CacheDir: t.TempDir(), Secrets: secretMap{"s": "Basic x"}}
	base := serve(t, f)
	key := func(path string, attrs map[string]string) string {
		return mustFetch(t, c, HTTPRequest{URL: base + path, Attrs: attrs}).Key
	}
	plain := key("/a", nil)
	if got := key("/dir/a", nil); got != plain {
		t.Errorf("the same file from elsewhere has key %s, want %s", got, plain)
	}
	seen := map[string]string{plain: "plain"}
	for name, attrs := range map[string]map[string]string{
		"filename": {"http.filename": "b"}, "perm": {"http.perm": "0644"}, "uid": {"http.uid": "1"}, "gid": {"http.gid": "1"},
		"secret": {"http.authheadersecret": "s"}, "header": {"http.header.accept": "x"},
		"checksum": {"http.checksum": digest.FromString("x").String()},
	} {
		k := key("/a", attrs)
		if other, ok := seen[k]; ok {
			t.Errorf("%s and %s share the key %s", name, other, k)
		}
		seen[k] = name
	}
	f.header = http.Header{"Last-Modified": {"Wed, 03 Jan 2024 03:04:05 GMT"}, "Etag": {`"2"`}}
	if key("/a", nil) == plain {
		t.Error("a new date keeps the key")
	}
}

func TestHTTPAttrsInvalid(t *testing.T) {
	c := &Client{CacheDir: t.TempDir()}
	for k, want := range map[string]error{
		"http.perm=x": errs.ErrInvalid, "http.perm=010000": errs.ErrInvalid, "http.uid=-1": errs.ErrInvalid, "http.gid=4294967295": errs.ErrInvalid,
		"http.checksum=sha256:1": errs.ErrInvalid, "http.checksum=" + digest.SHA512.FromString("x").String(): errs.ErrUnsupported,
		"http.sig.pubkey=x": errs.ErrUnsupported, "http.sig.signature=x": errs.ErrUnsupported,
	} {
		name, v, _ := strings.Cut(k, "=")
		_, err := c.FetchHTTP(t.Context(), HTTPRequest{URL: "http://127.0.0.1:1/", Attrs: map[string]string{name: v}})
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", k, err, want)
		}
	}
}

func openDir(t testing.TB, path string) *os.File {
	t.Helper()
	d, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestPlaceHTTP(t *testing.T) {
	const date = "Tue, 02 Jan 2024 03:04:05 GMT"
	modified, err := http.ParseTime(date)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		date     string
		attrs    map[string]string
		mode     os.FileMode
		uid, gid uint32
		mtime    time.Time
		root     bool
	}{
		{name: "defaults", mode: 0o600, mtime: time.Unix(0, 0)},
		{name: "dated", date: date, mode: 0o600, mtime: modified},
		{name: "mode", attrs: map[string]string{"http.perm": "0777"}, mode: 0o777, mtime: time.Unix(0, 0)},
		{name: "owner and setuid", attrs: map[string]string{"http.perm": "04755", "http.uid": "12", "http.gid": "34"}, mode: 0o755 | os.ModeSetuid, uid: 12, gid: 34, mtime: time.Unix(0, 0), root: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				testenv.Root(t)
			}
			h := http.Header{}
			if tt.date != "" {
				h.Set("Last-Modified", tt.date)
			}
			f := &webFile{body: "content", header: h}
			c := &Client{CacheDir: t.TempDir()}
			res := mustFetch(t, c, HTTPRequest{URL: serve(t, f) + "/a", Attrs: tt.attrs})
			dir := t.TempDir()
			if err := c.PlaceHTTP(res, openDir(t, dir)); err != nil {
				t.Fatal(err)
			}
			fi, err := os.Stat(filepath.Join(dir, "a"))
			if err != nil {
				t.Fatal(err)
			}
			st := fi.Sys().(*syscall.Stat_t)
			if fi.Mode() != tt.mode || !fi.ModTime().Equal(tt.mtime) || tt.root && (st.Uid != tt.uid || st.Gid != tt.gid) {
				t.Errorf("got %v %d:%d %v, want %v %d:%d %v", fi.Mode(), st.Uid, st.Gid, fi.ModTime(), tt.mode, tt.uid, tt.gid, tt.mtime)
			}
			if raw, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(raw) != "content" {
				t.Errorf("content %q (%v)", raw, err)
			}
			if err := c.PlaceHTTP(res, openDir(t, dir)); !errors.Is(err, os.ErrExist) {
				t.Errorf("placing it again: got %v, want ErrExist", err)
			}
		})
	}
}

func TestFetchHTTPConcurrently(t *testing.T) {
	f := &webFile{body: "x", header: http.Header{"Etag": {`"1"`}}}
	u := serve(t, f)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := &Client{CacheDir: dir}
			if _, err := c.FetchHTTP(t.Context(), HTTPRequest{URL: u}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := strings.Count(f.requests(), "GET"); got != 1 {
		t.Errorf("fetched the body %d times, want once", got)
	}
}

func TestFetchHTTPCancelled(t *testing.T) {
	release := make(chan struct{})
	u := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	c := &Client{CacheDir: t.TempDir()}
	if _, err := c.FetchHTTP(ctx, HTTPRequest{URL: u}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}

func FuzzFileName(f *testing.F) {
	f.Add("https://x/a/b", "", `attachment; filename="c"`)
	f.Add("https://x/..%2f", "../..", `x; filename*=UTF-8''%2e%2e`)
	f.Add(":", "a\x00b", ";")
	f.Fuzz(func(t *testing.T, u, asked, disposition string) {
		name := fileName(u, asked, http.Header{"Content-Disposition": {disposition}})
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00\n") {
			t.Errorf("unsafe name %q", name)
		}
	})
}

func FuzzRedactURL(f *testing.F) {
	f.Add("geheim")
	f.Add("a:b@c/d?e#f")
	f.Fuzz(func(t *testing.T, user string) {
		u := url.URL{Scheme: "https", User: url.User(user), Host: "example.com", Path: "/p"}
		if got := redactURL(u.String()); got != "https://example.com/p" {
			t.Errorf("redacted %s to %s", u.String(), got)
		}
	})
}

// readAll reads a request's body and puts it back.
func readAll(r *http.Request) (string, error) {
	raw, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(raw)))
	return string(raw), err
}
