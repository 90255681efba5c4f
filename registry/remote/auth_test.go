package remote_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// basicAuth lets me:secret in.
func basicAuth(w http.ResponseWriter, r *http.Request, _ []server.Access) bool {
	if u, p, ok := r.BasicAuth(); ok && u == "me" && p == "secret" {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
	server.WriteError(w, 401, "UNAUTHORIZED", "who are you?")
	return false
}

// tokens is a token server: me:secret may do all, anybody may pull.
type tokens struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string // scopes
	tokens map[string]string
	fresh  int // how many requests a token is good for; 0 is for ever
	used   map[string]int
}

func tokenServer(t testing.TB) *tokens {
	s := &tokens{tokens: map[string]string{}, used: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	user, password, has := r.BasicAuth()
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "refresh_token" {
			w.WriteHeader(400)
			return
		}
		q = url.Values{"scope": strings.Split(r.Form.Get("scope"), " ")}
		if has = r.Form.Get("refresh_token") == "identity"; has {
			user, password = "me", "secret"
		}
	}
	if has && (user != "me" || password != "secret") {
		w.WriteHeader(401)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}`)
		return
	}
	scope := strings.Join(q["scope"], " ")
	if !has {
		scope = strings.ReplaceAll(scope, "pull,push", "pull")
	}
	s.asked = append(s.asked, scope)
	token := fmt.Sprintf("token-%d", len(s.asked))
	s.tokens[token] = scope
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token})
}

// authorize holds a request's token against what it needs.
func (s *tokens) authorize(w http.ResponseWriter, r *http.Request, need []server.Access) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	scope, ok := s.tokens[token]
	s.used[token]++
	if s.fresh > 0 && s.used[token] > s.fresh {
		ok = false
	}
	var want []string
	for _, n := range need {
		actions := "pull"
		if n.Action == server.Push {
			actions = "pull,push"
		}
		want = append(want, "repository:"+n.Repository+":"+actions)
		has := false
		for _, sc := range strings.Fields(scope) {
			name, acts, _ := strings.Cut(strings.TrimPrefix(sc, "repository:"), ":")
			has = has || (name == n.Repository && slices.Contains(strings.Split(acts, ","), string(n.Action)))
		}
		ok = ok && has
	}
	if token == "bearer" || ok {
		return true
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="%s"`, s.URL, strings.Join(want, " ")))
	server.WriteError(w, 401, "UNAUTHORIZED", "authentication required")
	return false
}

func TestBasic(t *testing.T) {
	ctx := context.Background()
	reg := serve(t, server.Options{Authorize: basicAuth})
	good, bad := remote.Credential{Username: "me", Password: "secret"}, remote.Credential{Username: "me", Password: "hunter2"}
	c := remote.New(quick())
	for _, tt := range []struct {
		name string
		cred *remote.Credential
		want error
	}{{"good", &good, nil}, {"bad", &bad, errs.ErrUnauthorized}, {"none", nil, errs.ErrUnauthorized}} {
		err := c.Ping(ctx, reg.host, tt.cred)
		if !errors.Is(err, tt.want) {
			t.Errorf("Ping with %s: %v", tt.name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "mica login "+reg.host)) {
			t.Errorf("Ping with %s: %v", tt.name, err)
		}
	}
	o := quick()
	o.Credential = with(good)
	r := repo(t, reg.host, o)
	d := contenttest.Push(t, r, "a")
	if err := r.Tag(ctx, "v1", d); err != nil {
		t.Error(err)
	}
	contenttest.Read(t, r, d)
	if _, err := repo(t, reg.host, quick()).Resolve(ctx, "v1"); !errors.Is(err, errs.ErrUnauthorized) {
		t.Errorf("Resolve without credentials: %v", err)
	}
}

func TestBearer(t *testing.T) {
	ctx := context.Background()
	ts := tokenServer(t)
	reg := serve(t, server.Options{Authorize: ts.authorize})
	for name, cred := range map[string]remote.Credential{
		"password":       {Username: "me", Password: "secret"},
		"identity token": {IdentityToken: "identity"},
		"registry token": {RegistryToken: "bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick()
			o.Credential = with(cred)
			r := named(t, reg.host+"/"+strings.ReplaceAll(name, " ", "-"), remote.New(o))
			d := contenttest.Push(t, r, "a", "b")
			if err := r.Tag(ctx, "v1", d); err != nil {
				t.Error(err)
			}
			contenttest.Read(t, r, d)
		})
	}
	t.Run("anonymous", func(t *testing.T) {
		r := named(t, reg.host+"/password", remote.New(quick()))
		d, err := r.Resolve(ctx, "v1")
		if err != nil {
			t.Fatal(err)
		}
		contenttest.Read(t, r, d)
		data := []byte("not allowed")
		if err := r.Push(ctx, layerOf(data), bytes.NewReader(data)); !errors.Is(err, errs.ErrUnauthorized) {
			t.Errorf("anonymous push: %v", err)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		err := remote.New(quick()).Ping(ctx, reg.host, &remote.Credential{Username: "me", Password: "hunter2"})
		if !errors.Is(err, errs.ErrUnauthorized) || !strings.Contains(err.Error(), "wrong password") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Ping: %v", err)
		}
	})
	t.Run("mount asks for both repositories", func(t *testing.T) {
		o := quick()
		o.Credential = with(remote.Credential{Username: "me", Password: "secret"})
		c := remote.New(o)
		data := []byte("mounted")
		d := layerOf(data)
		if err := named(t, reg.host+"/from", c).Push(ctx, d, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		if ok, err := named(t, reg.host+"/to", c).Mount(ctx, d, "from"); !ok || err != nil {
			t.Errorf("Mount = %v, %v", ok, err)
		}
	})
	t.Run("tokens that run out", func(t *testing.T) {
		ts.mu.Lock()
		ts.fresh = 2
		ts.mu.Unlock()
		o := quick()
		o.Credential = with(remote.Credential{Username: "me", Password: "secret"})
		o.ChunkSize = 100
		r := named(t, reg.host+"/fresh", remote.New(o))
		for i := range 5 {
			data := bytes.Repeat([]byte{byte(i)}, 1000)
			d := layerOf(data)
			if err := r.Push(ctx, d, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
			contenttest.Read(t, r, d)
		}
	})
}

// TestPrivateRealm has a token server under another name of a private network.
func TestPrivateRealm(t *testing.T) {
	ts := tokenServer(t)
	ts.URL = strings.Replace(ts.URL, "127.0.0.1", "localhost", 1)
	reg := serve(t, server.Options{Authorize: ts.authorize})
	o := quick()
	o.Credential = with(remote.Credential{Username: "me", Password: "secret"})
	r := repo(t, reg.host, o)
	contenttest.Read(t, r, contenttest.Push(t, r, "a"))
}

// TestOneToken makes sure that a token is asked for once, not for each request.
func TestOneToken(t *testing.T) {
	ts := tokenServer(t)
	reg := serve(t, server.Options{Authorize: ts.authorize})
	o := quick()
	o.Credential = with(remote.Credential{Username: "me", Password: "secret"})
	r := repo(t, reg.host, o)
	for i := range 5 {
		data := []byte{byte(i)}
		if err := r.Push(context.Background(), layerOf(data), bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	if len(ts.asked) != 1 {
		t.Errorf("asked for %d tokens: %q", len(ts.asked), ts.asked)
	}
}

// TestRedirect follows redirects to another host without credentials.
func TestRedirect(t *testing.T) {
	ctx := context.Background()
	data := bytes.Repeat([]byte("elsewhere"), 1000)
	d := layerOf(data)
	var mu sync.Mutex
	var saw []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		saw = append(saw, r.Header.Get("Authorization"))
		if r.URL.Path == "/ask" {
			w.Header().Set("WWW-Authenticate", `Basic realm="give me"`)
			w.WriteHeader(401)
			return
		}
		_, _ = w.Write(data)
	}))
	t.Cleanup(other.Close)
	reg := serve(t, server.Options{Authorize: basicAuth})
	o := quick()
	o.Credential = with(remote.Credential{Username: "me", Password: "secret"})
	r := repo(t, reg.host, o)
	to := func(path string) fault {
		return on("GET /v2/test/blobs", func(w http.ResponseWriter, r *http.Request) bool {
			if !basicAuth(w, r, nil) {
				return true
			}
			http.Redirect(w, r, other.URL+path, http.StatusTemporaryRedirect)
			return true
		})
	}
	reg.set(to("/blob?signature=hunter2"))
	if got := contenttest.Read(t, r, d); !bytes.Equal(got, data) {
		t.Error("other bytes came")
	}
	reg.set(to("/ask?signature=hunter2"))
	if _, err := r.Fetch(ctx, d); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Fetch from one that wants credentials: %v", err)
	}
	reg.set(on("GET /v2/test/blobs", func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}))
	if _, err := r.Fetch(ctx, d); err == nil || !strings.Contains(err.Error(), "redirects") {
		t.Errorf("redirects in a circle: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(saw) < 2 {
		t.Errorf("the other host saw %d requests", len(saw))
	}
	for _, s := range saw {
		if s != "" {
			t.Errorf("the other host saw credentials: %q", s)
		}
	}
}

// FuzzChallenge reads challenges of strangers.
func FuzzChallenge(f *testing.F) {
	for _, s := range []string{`Basic realm="x"`, `Bearer realm="http://127.0.0.1:1/t",service="s",scope="a b"`, `Bearer`, `, "`, `Bearer realm="\`} {
		f.Add(s)
	}
	var challenge string
	reg := serve(f, server.Options{}, on("GET /v2/test/blobs", func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(401)
		return true
	}))
	o := quick()
	o.Retries = -1
	o.Credential = with(remote.Credential{Username: "me", Password: "hunter2"})
	d := layerOf([]byte("x"))
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\r\n") || strings.Contains(strings.ToLower(s), "realm") && !strings.Contains(s, "127.0.0.1:1/") {
			t.Skip("would ask other hosts")
		}
		challenge = s
		_, err := repo(t, reg.host, o).Fetch(context.Background(), d)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("challenge %q: %v", s, err)
		}
	})
}
