package remote_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
)

// A fault answers a request itself (true), or lets it through.
type fault func(w http.ResponseWriter, r *http.Request) bool

// registry is one in this process, with faults before it and a log.
type registry struct {
	*httptest.Server
	host    string
	backend *server.Memory
	mu      sync.Mutex
	faults  []fault
	log     []string // "METHOD path", with the Authorization scheme if there was one
}

func serve(t testing.TB, o server.Options, faults ...fault) *registry {
	return serveWith(t, httptest.NewServer, o, faults...)
}

func serveWith(t testing.TB, start func(http.Handler) *httptest.Server, o server.Options, faults ...fault) *registry {
	t.Helper()
	r := &registry{backend: server.NewMemory(), faults: faults}
	h := server.New(r.backend, o)
	r.Server = start(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		scheme, _, _ := strings.Cut(req.Header.Get("Authorization"), " ")
		r.mu.Lock()
		r.log = append(r.log, strings.TrimSpace(req.Method+" "+req.URL.Path+" "+scheme))
		faults := r.faults
		r.mu.Unlock()
		for _, f := range faults {
			if f(w, req) {
				return
			}
		}
		h.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	r.host = r.Listener.Addr().String()
	return r
}

// set replaces the faults and empties the log.
func (r *registry) set(faults ...fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults, r.log = faults, nil
}

// count says how many requests began with prefix.
func (r *registry) count(prefix string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, l := range r.log {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// quick are options for tests: short waits, no certificates of this machine.
func quick() remote.Options {
	return remote.Options{RetryDelay: time.Millisecond, StallTimeout: 2 * time.Second, CertsDirs: []string{}}
}

// with is the credential for every host.
func with(c remote.Credential) func(context.Context, string) (remote.Credential, error) {
	return func(context.Context, string) (remote.Credential, error) { return c, nil }
}

// repo is the repository "test" of a registry.
func repo(t testing.TB, host string, o remote.Options) *remote.Repository {
	t.Helper()
	return named(t, host+"/test", remote.New(o))
}

func named(t testing.TB, name string, c *remote.Client) *remote.Repository {
	t.Helper()
	r, err := ref.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return c.Repository(r)
}

// on limits a fault to requests that begin with "METHOD path".
func on(prefix string, f fault) fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasPrefix(r.Method+" "+r.URL.Path, prefix) && f(w, r)
	}
}

// times limits a fault to the first n requests.
func times(n int, f fault) fault {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		n--
		use := n >= 0
		mu.Unlock()
		return use && f(w, r)
	}
}

// status answers with a status and header lines.
func status(code int, header ...string) fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		for _, h := range header {
			k, v, _ := strings.Cut(h, ": ")
			w.Header().Set(k, v)
		}
		w.WriteHeader(code)
		return true
	}
}

// drop breaks the connection.
func drop(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }

// cut sends n bytes of the real answer's body and breaks the connection.
func cut(r **registry, n int64) fault {
	return func(w http.ResponseWriter, req *http.Request) bool {
		server.New((*r).backend, server.Options{}).ServeHTTP(&cutWriter{w, n}, req)
		return true
	}
}

type cutWriter struct {
	http.ResponseWriter
	left int64
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	_, err := c.ResponseWriter.Write(p[:n])
	c.left -= n
	if c.left == 0 || err != nil {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return int(n), nil
}

// certsDir writes the authority of a TLS server for a host.
func certsDir(t testing.TB, host string, s *httptest.Server) string {
	t.Helper()
	dir := t.TempDir()
	raw := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.MkdirAll(filepath.Join(dir, host), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, host, "ca.crt"), raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func layerOf(data []byte) image.Descriptor { return image.NewDescriptor(image.MediaTypeLayer, data) }
