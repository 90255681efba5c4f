package access_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/access"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const good = `
htpasswd = "users.htpasswd"
immutable-tags = ["team/**:v*", "**:release-*"]
max-blob = "1GB"

[groups]
ci = ["robot", "alice"]

[[rule]]
repositories = ["public/**"]
anonymous = true
actions = ["pull"]

[[rule]]
repositories = ["team/*"]
groups = ["ci"]
actions = ["pull", "push"]

[[rule]]
repositories = ["**"]
users = ["admin"]
actions = ["pull", "push", "delete"]

[[rule]]
repositories = ["shared/*-base"]
users = ["*"]
actions = ["pull"]

[[quota]]
repositories = "team/**"
size = "1MB"
`

func TestDecide(t *testing.T) {
	c, err := access.ParseConfig("/etc/r.toml", []byte(good))
	must(t, err)
	if c.Htpasswd != "/etc/users.htpasswd" {
		t.Errorf("users in %s", c.Htpasswd)
	}
	for _, tt := range []struct {
		user, repo string
		want       string // the actions that may be
	}{
		{"", "public/a", "pull"},
		{"", "public/a/b", "pull"},
		{"", "public", "pull"},
		{"", "publicity", ""},
		{"", "team/a", ""},
		{"alice", "team/a", "pull push"},
		{"alice", "team/a/b", ""},
		{"robot", "team/a", "pull push"},
		{"bob", "team/a", ""},
		{"bob", "public/a", "pull"},
		{"bob", "shared/x-base", "pull"},
		{"bob", "shared/x", ""},
		{"admin", "any/thing", "pull push delete"},
		{"*", "team/a", ""},
		{"", "shared/x-base", ""},
	} {
		var may []string
		for _, a := range []string{"pull", "push", "delete"} {
			if ok, why := c.Decide(tt.user, tt.repo, a); ok {
				may = append(may, a)
			} else if why == "" {
				t.Error("no reason")
			}
		}
		if got := strings.Join(may, " "); got != tt.want {
			t.Errorf("%q may %q with %s, want %q", tt.user, got, tt.repo, tt.want)
		}
	}
	for tag, want := range map[string]bool{"team/a:v1": true, "team/a:latest": false, "x:release-1": true, "other:v1": false} {
		repo, t2, _ := strings.Cut(tag, ":")
		if got := c.IsImmutable(repo, t2); got != want {
			t.Errorf("%s immutable: %v", tag, got)
		}
	}
	if l := c.Limits("team/a"); len(l) != 1 || l[0].Bytes != 1<<20 {
		t.Errorf("limits %v", l)
	}
	if l := c.Limits("teams"); len(l) != 0 {
		t.Errorf("limits of teams: %v", l)
	}
}

func TestBadConfigs(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"readonly = true\n", `r.toml:1: there is no setting "readonly"`},
		{"[[rule\n", "r.toml:1:"},
		{"[[rule]]\nrepositories = ['a']\nusers = ['u']\n", "[[rule]] 1: it needs repositories and actions"},
		{"[[rule]]\nrepositories = ['a']\nactions = ['pull']\n", "it is for nobody"},
		{"[[rule]]\nrepositories = ['a']\nactions = ['fly']\nusers = ['u']\n", `action "fly"`},
		{"[[rule]]\nrepositories = ['a']\nactions = ['pull']\ngroups = ['g']\n", `group "g"`},
		{"[[rule]]\nrepositories = ['a']\nactions = ['push']\nanonymous = true\n", "anonymous may only pull"},
		{"[[quota]]\nrepositories = 'a'\nsize = 'much'\n", "size"},
		{"[[quota]]\nrepositories = 'A'\nsize = '1GB'\n", "repositories"},
		{"immutable-tags = ['x']\n", "REPOSITORY:TAG"},
		{"[tls]\ncert = 'x'\n", "cert and key go together"},
		{"max-blob = 'x'\n", "max-blob"},
	} {
		_, err := access.ParseConfig("r.toml", []byte(tt.text))
		if !errors.Is(err, errs.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want one with %q", tt.text, err, tt.want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"*", "a", true},
		{"*", "a/b", false},
		{"**", "a/b/c", true},
		{"a/**", "a", true},
		{"a/**", "a/b/c", true},
		{"**/c", "a/b/c", true},
		{"**/c", "c", true},
		{"a/*/c", "a/b/c", true},
		{"a*c", "abc", true},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "aXcYb", false},
		{"*-base", "x-base", true},
		{"a*a", "a", false},
		{"", "a", false},
	} {
		if got := access.Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
}

func TestUsers(t *testing.T) {
	u := access.Users{}
	must(t, u.Set("alice", "wonder land"))
	hash, err := bcrypt.GenerateFromPassword([]byte("builder"), bcrypt.MinCost)
	must(t, err)
	u["bob"] = string(hash)
	path := filepath.Join(t.TempDir(), "d", "users")
	must(t, u.Write(path))
	got, err := access.ReadUsers(path)
	must(t, err)
	if diff := cmp.Diff(u, got); diff != "" {
		t.Fatal(diff)
	}
	for _, tt := range []struct {
		user, password string
		want           bool
	}{
		{"alice", "wonder land", true},
		{"alice", "wonderland", false},
		{"alice", "", false},
		{"bob", "builder", true},
		{"bob", "wonder land", false},
		{"carol", "x", false},
		{"", "", false},
	} {
		if got.Check(tt.user, tt.password) != tt.want {
			t.Errorf("%s with %q: not %v", tt.user, tt.password, tt.want)
		}
	}
	for _, bad := range []string{"alice", ":x", "a:{SHA}x", "a:$apr1$x$y", "a:plain", "a:$2y$xx", "a:$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA", "a:$argon2id$v=18$m=1,t=1,p=1$x$y"} {
		_, err := access.ParseUsers("f", []byte("# comment\n"+bad+"\n"))
		if !errors.Is(err, errs.ErrInvalid) || !strings.HasPrefix(err.Error(), "f:2: ") {
			t.Errorf("%s: error %v", bad, err)
		}
		if _, hash, _ := strings.Cut(bad, ":"); err != nil && len(hash) > 3 && strings.Contains(err.Error(), hash) {
			t.Errorf("the error tells the hash: %v", err)
		}
	}
	for _, bad := range []string{"", "a:b", "a\nb"} {
		if err := u.Set(bad, "x"); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("user %q: %v", bad, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a:$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA\n"))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		if c, err := access.ParseConfig("x", raw); err == nil {
			_, _ = c.Decide("u", "a/b", "pull")
			_ = c.IsImmutable("a", "b")
		}
		_, _ = access.ParseUsers("x", raw)
	})
}

// guarded is a registry with the good config and its guard.
func guarded(t *testing.T) (*httptest.Server, *access.Guard, string) {
	t.Helper()
	dir := t.TempDir()
	u := access.Users{}
	for _, name := range []string{"alice", "bob", "admin"} {
		hash, err := bcrypt.GenerateFromPassword([]byte(name+"'s"), bcrypt.MinCost)
		must(t, err)
		u[name] = string(hash)
	}
	must(t, u.Write(filepath.Join(dir, "users.htpasswd")))
	file := filepath.Join(dir, "r.toml")
	must(t, os.WriteFile(file, []byte(good), 0o600))
	g, err := access.Open(file, slog.New(slog.DiscardHandler))
	must(t, err)
	s := httptest.NewServer(server.New(server.NewMemory(), g.Options()))
	t.Cleanup(s.Close)
	return s, g, file
}

func ask(t *testing.T, s *httptest.Server, method, path, user, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	must(t, err)
	if method == http.MethodPut {
		req.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	}
	if name, password, ok := strings.Cut(user, " "); ok {
		req.SetBasicAuth(name, password)
	} else if user != "" {
		req.SetBasicAuth(user, user+"'s")
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(resp.Body)
	must(t, err)
	return resp.StatusCode, b.String()
}

const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`

func TestGuard(t *testing.T) {
	s, _, _ := guarded(t)
	for _, repo := range []string{"public/a", "team/a", "secret"} {
		if code, body := ask(t, s, "PUT", "/v2/"+repo+"/manifests/v1", "admin", index); code != 201 {
			t.Fatalf("%s: %d %s", repo, code, body)
		}
	}
	for _, tt := range []struct {
		method, path, user string
		want               int
	}{
		{"GET", "/v2/", "", 401},
		{"GET", "/v2/", "alice", 200},
		{"GET", "/v2/", "alice wrong", 401},
		{"GET", "/v2/public/a/manifests/v1", "", 200},
		{"GET", "/v2/public/a/manifests/v1", "alice wrong", 401},
		{"PUT", "/v2/public/a/manifests/v2", "", 401},
		{"PUT", "/v2/public/a/manifests/v2", "bob", 403},
		{"GET", "/v2/team/a/manifests/v1", "", 401},
		{"GET", "/v2/team/a/manifests/v1", "alice", 200},
		{"PUT", "/v2/team/a/manifests/new", "alice", 201},
		{"DELETE", "/v2/team/a/manifests/new", "alice", 403},
		{"DELETE", "/v2/team/a/manifests/v1", "admin", 409}, // immutable
		{"DELETE", "/v2/team/a/manifests/new", "admin", 202},
		{"GET", "/v2/secret/manifests/v1", "bob", 404},
		{"POST", "/v2/secret/blobs/uploads/", "bob", 403},
		{"POST", "/v2/none/blobs/uploads/", "bob", 403},
		{"GET", "/v2/secret/tags/list", "bob", 404},
		{"GET", "/v2/secret/manifests/v1", "admin", 200},
	} {
		if got, body := ask(t, s, tt.method, tt.path, tt.user, index); got != tt.want {
			t.Errorf("%s %s by %q: %d %s, want %d", tt.method, tt.path, tt.user, got, body, tt.want)
		}
	}
	// What one may not see is not there: not in lists, not by another answer.
	_, there := ask(t, s, "GET", "/v2/secret/manifests/v1", "bob", "")
	_, not := ask(t, s, "GET", "/v2/none/manifests/v1", "bob", "")
	if there != not {
		t.Errorf("a hidden repository answers %s, one that is not there %s", there, not)
	}
	if _, list := ask(t, s, "GET", "/v2/_catalog", "bob", ""); strings.Contains(list, "secret") || !strings.Contains(list, "public/a") {
		t.Errorf("bob's catalog is %s", list)
	}
	if code, body := ask(t, s, "POST", "/v2/team/a/blobs/uploads/?mount=sha256:"+strings.Repeat("0", 64)+"&from=secret", "alice", ""); code != 202 {
		t.Errorf("a mount from a hidden repository: %d %s", code, body)
	}
}

func TestGuessing(t *testing.T) {
	s, _, _ := guarded(t)
	codes := map[int]int{}
	for i := range 25 {
		code, _ := ask(t, s, "GET", "/v2/", fmt.Sprintf("alice %d", i), "")
		codes[code]++
	}
	if codes[401] != 19 || codes[429] != 6 {
		t.Errorf("answers %v", codes)
	}
}

func TestReload(t *testing.T) {
	s, g, file := guarded(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hangup := make(chan os.Signal)
	go g.Watch(ctx, time.Hour, hangup)
	change := func(text string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte(text), 0o600))
		hangup <- os.Interrupt
		hangup <- os.Interrupt // the first one is done when the second is taken
	}
	if code, _ := ask(t, s, "PUT", "/v2/x/manifests/v", "bob", index); code != 403 {
		t.Fatalf("before: %d", code)
	}
	change("htpasswd = 'users.htpasswd'\n")
	if code, _ := ask(t, s, "PUT", "/v2/x/manifests/v", "bob", index); code != 201 {
		t.Errorf("after: %d", code)
	}
	change("htpasswd = 'users.htpasswd'\nread-only = true\n")
	if code, _ := ask(t, s, "PUT", "/v2/x/manifests/v", "bob", index); code != 405 {
		t.Errorf("read-only: %d", code)
	}
	change("not TOML")
	if code, _ := ask(t, s, "GET", "/v2/x/manifests/v", "bob", ""); code != 200 {
		t.Errorf("after a bad config: %d", code)
	}
}

func TestSelfSigned(t *testing.T) {
	dir := t.TempDir()
	cert, key, err := access.SelfSigned(dir, "10.0.0.7")
	must(t, err)
	before, err := os.ReadFile(cert)
	must(t, err)
	if _, _, err := access.SelfSigned(dir, "10.0.0.7"); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(cert)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the certificate is another one the second time")
	}
	c, err := access.OpenCertificate(cert, key)
	must(t, err)
	pair, err := c.Config().GetCertificate(nil)
	must(t, err)
	if err := pair.Leaf.VerifyHostname("10.0.0.7"); err != nil {
		t.Error(err)
	}
	if err := pair.Leaf.VerifyHostname("localhost"); err != nil {
		t.Error(err)
	}
}

// TestDocumentedConfig reads the example in the manual.
func TestDocumentedConfig(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "registry.md"))
	must(t, err)
	_, text, ok := strings.Cut(string(raw), "```toml\n")
	text, _, _ = strings.Cut(text, "```")
	if !ok {
		t.Fatal("there is no example")
	}
	c, err := access.ParseConfig("registry.toml", []byte(text))
	must(t, err)
	if len(c.Rules) != 2 || len(c.Quotas) != 1 || !c.IsImmutable("team/a/b", "v1") {
		t.Errorf("it says %+v", c)
	}
}
