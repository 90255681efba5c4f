package remote_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
)

// fakeHosts is a remote.Hosts.
type fakeHosts struct {
	mirrors []remote.Mirror
	hosts   map[string]remote.Host
	offline string
}

func (f fakeHosts) Mirrors(string, string) ([]remote.Mirror, error) { return f.mirrors, nil }
func (f fakeHosts) Host(name string) (remote.Host, error)           { return f.hosts[name], nil }
func (f fakeHosts) Offline() (string, bool)                         { return f.offline, f.offline != "" }

func withHosts(h remote.Hosts) remote.Options {
	o := quick()
	o.Hosts = h
	o.Retries = -1
	return o
}

// wrong changes the bytes of what is answered.
func wrong(r **registry) fault {
	return func(w http.ResponseWriter, req *http.Request) bool {
		server.New((*r).backend, server.Options{}).ServeHTTP(&wrongWriter{w}, req)
		return true
	}
}

type wrongWriter struct{ http.ResponseWriter }

func (w *wrongWriter) Write(p []byte) (int, error) {
	q := bytes.ToUpper(p)
	return w.ResponseWriter.Write(q)
}

// TestMirrors reads an image by way of mirrors that are fine, or in trouble.
func TestMirrors(t *testing.T) {
	manifest, blob := []byte(`{"schemaVersion":2,"mediaType":"`+image.MediaTypeIndex+`","manifests":[]}`), bytes.Repeat([]byte("layer "), 1<<20)
	m, l := image.NewDescriptor(image.MediaTypeIndex, manifest), layerOf(blob)
	fill := func(t *testing.T, r *registry) {
		t.Helper()
		to := named(t, r.host+"/copy/test", remote.New(quick()))
		for d, data := range map[*image.Descriptor][]byte{&m: manifest, &l: blob} {
			if err := to.Push(t.Context(), *d, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
		}
		if err := to.Tag(t.Context(), "v", m); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name   string
		tags   bool
		broken func(r **registry) fault // of the mirror
		empty  bool                     // the mirror
		origin bool                     // the origin is asked
	}{
		{name: "fine", tags: true},
		{name: "for digests only", origin: true},
		{name: "without the image", tags: true, empty: true, origin: true},
		{name: "down", tags: true, broken: func(**registry) fault { return status(http.StatusBadGateway) }, origin: true},
		{name: "broken connections", tags: true, broken: func(**registry) fault { return drop }, origin: true},
		{name: "wrong bytes", tags: true, broken: wrong, origin: true},
		{name: "wants credentials", tags: true, broken: func(**registry) fault { return status(http.StatusUnauthorized) }, origin: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			near, far := serve(t, server.Options{}), serve(t, server.Options{})
			if !tt.empty {
				fill(t, near)
			}
			o := withHosts(fakeHosts{})
			origin := named(t, far.host+"/test", remote.New(o))
			for d, data := range map[*image.Descriptor][]byte{&m: manifest, &l: blob} {
				if err := origin.Push(t.Context(), *d, bytes.NewReader(data)); err != nil {
					t.Fatal(err)
				}
			}
			if err := origin.Tag(t.Context(), "v", m); err != nil {
				t.Fatal(err)
			}
			near.set()
			far.set()
			if tt.broken != nil {
				near.set(on("GET /v2/copy/", tt.broken(&near)), on("HEAD /v2/copy/", tt.broken(&near)))
			}
			o.Hosts = fakeHosts{mirrors: []remote.Mirror{{Host: near.host, Path: "copy/test", Namespace: "far", Tags: tt.tags}}}
			repo := named(t, far.host+"/test", remote.New(o))
			d, err := repo.Resolve(t.Context(), "v")
			if err != nil || d.Digest != m.Digest {
				t.Fatalf("resolved %v, %v", d.Digest, err)
			}
			if got, err := content.ReadAll(t.Context(), repo, d); err != nil || !bytes.Equal(got, manifest) {
				t.Fatalf("manifest %q, %v", got, err)
			}
			var got []byte
			for range 2 { // the reader of a large blob can only say afterwards that it was wrong
				var rc io.ReadCloser
				if rc, err = repo.Fetch(t.Context(), l); err != nil {
					t.Fatal(err)
				}
				got, err = io.ReadAll(rc)
				rc.Close()
				if err == nil {
					break
				}
				if temporary := interface{ Temporary() bool }(nil); !errors.As(err, &temporary) || !temporary.Temporary() {
					t.Fatal(err)
				}
			}
			if err != nil || !bytes.Equal(got, blob) {
				t.Fatalf("blob of %d bytes, %v", len(got), err)
			}
			if asked := far.count("GET /v2/test/")+far.count("HEAD /v2/test/") > 0; asked != tt.origin {
				t.Errorf("the origin was asked: %v, want %v", asked, tt.origin)
			}
		})
	}
}

// TestMirrorNamespace checks that the mirror is told whose image is wanted, and that
// nothing is pushed to it.
func TestMirrorNamespace(t *testing.T) {
	var asked []string
	near := serve(t, server.Options{}, func(_ http.ResponseWriter, r *http.Request) bool {
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		return false
	})
	far := serve(t, server.Options{})
	repo := named(t, far.host+"/test", remote.New(withHosts(fakeHosts{
		mirrors: []remote.Mirror{{Host: near.host, Path: "test", Namespace: far.host, Tags: true}},
	})))
	data := []byte("x")
	if err := repo.Push(t.Context(), layerOf(data), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if len(asked) > 0 {
		t.Errorf("a push asked the mirror: %v", asked)
	}
	if _, err := repo.Resolve(t.Context(), "v"); !errors.Is(err, errs.ErrNotFound) || !strings.Contains(err.Error(), "before that mirror "+near.host) {
		t.Errorf("error %v", err)
	}
	if all := strings.Join(asked, "\n"); !strings.Contains(all, "/v2/test/manifests/v?ns=127.0.0.1%3A") {
		t.Errorf("the mirror was asked %s", all)
	}
}

// TestMirrorLeftAlone checks that a mirror which is down costs its time once.
func TestMirrorLeftAlone(t *testing.T) {
	near, far := serve(t, server.Options{}), serve(t, server.Options{})
	near.set(on("HEAD /v2/test/", drop))
	repo := named(t, far.host+"/test", remote.New(withHosts(fakeHosts{mirrors: []remote.Mirror{{Host: near.host, Path: "test", Tags: true}}})))
	for range 3 {
		_, _ = repo.Resolve(t.Context(), "v")
	}
	if n := near.count("HEAD /v2/test/"); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}

func TestOfflineAndBlocked(t *testing.T) {
	r := serve(t, server.Options{})
	for name, h := range map[string]struct {
		hosts remote.Hosts
		is    error
		says  string
	}{
		"offline": {fakeHosts{offline: "--offline"}, remote.ErrOffline, "(--offline)"},
		"blocked": {fakeHosts{hosts: map[string]remote.Host{r.host: {Blocked: true}}}, errs.ErrUnauthorized, "is blocked"},
	} {
		repo := named(t, r.host+"/test", remote.New(withHosts(h.hosts)))
		_, err := repo.Resolve(t.Context(), "v")
		if !errors.Is(err, h.is) || !strings.Contains(err.Error(), h.says) {
			t.Errorf("%s: error %v", name, err)
		}
		if _, err := repo.Tags(t.Context()); !errors.Is(err, h.is) {
			t.Errorf("%s: tags: error %v", name, err)
		}
	}
	if n := r.count(""); n > 0 {
		t.Errorf("%d requests", n)
	}
}
