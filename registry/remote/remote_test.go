package remote_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/content/memory"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
)

// hostSeparate makes the suite's name one of the repository.
type renamed struct{ *remote.Repository }

func (r renamed) Resolve(ctx context.Context, _ string) (image.Descriptor, error) {
	return r.Repository.Resolve(ctx, "latest")
}

func (r renamed) Tag(ctx context.Context, _ string, d image.Descriptor) error {
	return r.Repository.Tag(ctx, "latest", d)
}

func TestStore(t *testing.T) {
	for name, size := range map[string]int64{"whole": 0, "chunks": 1000} {
		t.Run(name, func(t *testing.T) {
			contenttest.Store(t, func(t testing.TB) content.Store {
				o := quick()
				o.ChunkSize = size
				return renamed{repo(t, serve(t, server.Options{}).host, o)}
			})
		})
	}
}

func TestImages(t *testing.T) {
	ctx := context.Background()
	reg := serve(t, server.Options{})
	src, dst := memory.New(), memory.New()
	x := contenttest.PushIndex(t, src, contenttest.Push(t, src, "a", "b"),
		contenttest.PushFor(t, src, image.Platform{OS: "linux", Architecture: "arm64"}, "a", "c"))
	if err := src.Tag(ctx, "x", x); err != nil {
		t.Fatal(err)
	}
	r := repo(t, reg.host, quick())
	for _, name := range []string{"v1", reg.host + "/test:v2"} {
		if _, err := content.CopyName(ctx, r, name, src, "x", content.CopyOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"v1", "v2", x.Digest.String(), reg.host + "/test@" + x.Digest.String()} {
		d, err := r.Resolve(ctx, name)
		if err != nil || d.Digest != x.Digest || d.MediaType != image.MediaTypeIndex || d.Size != x.Size {
			t.Errorf("Resolve(%s) = %+v, %v", name, d, err)
		}
	}
	if _, err := content.CopyName(ctx, dst, "y", r, "v1", content.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	reg.set()
	if _, err := content.Copy(ctx, r, src, x, content.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := reg.count("POST") + reg.count("PUT") + reg.count("PATCH"); n > 0 {
		t.Errorf("a second push sent %d things", n)
	}
}

func TestMount(t *testing.T) {
	ctx := context.Background()
	reg := serve(t, server.Options{})
	c := remote.New(quick())
	from, to := named(t, reg.host+"/from/it", c), named(t, reg.host+"/to", c)
	data := []byte("mounted")
	d := layerOf(data)
	if err := from.Push(ctx, d, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		from string
		want bool
	}{
		{"to", false}, {"", false}, {"other", false}, {"from/it", true}, {reg.host + "/from/it", true},
	} {
		if ok, err := to.Mount(ctx, d, tt.from); ok != tt.want || err != nil {
			t.Errorf("Mount from %q = %v, %v; want %v", tt.from, ok, err, tt.want)
		}
	}
	if ok, err := to.Exists(ctx, d); !ok || err != nil {
		t.Errorf("Exists = %v, %v", ok, err)
	}
}

// TestResolveOld asks registries that answer HEAD poorly.
func TestResolveOld(t *testing.T) {
	ctx := context.Background()
	for name, f := range map[string]fault{
		"no HEAD":     on("HEAD /v2/test/manifests", status(405)),
		"no digest":   on("HEAD /v2/test/manifests", status(200, "Content-Type: "+image.MediaTypeManifest, "Content-Length: 5")),
		"other type":  on("HEAD /v2/test/manifests", status(200, "Content-Type: text/html", "Content-Length: 5", "Docker-Content-Digest: "+digest.FromString("x").String())),
		"bad digest":  on("HEAD /v2/test/manifests", status(200, "Content-Type: "+image.MediaTypeManifest, "Content-Length: 5", "Docker-Content-Digest: sha256:1")),
		"no length":   on("HEAD /v2/test/manifests", status(200, "Content-Type: "+image.MediaTypeManifest, "Docker-Content-Digest: "+digest.FromString("x").String())),
		"as it ought": nil,
	} {
		t.Run(name, func(t *testing.T) {
			reg := serve(t, server.Options{})
			r := repo(t, reg.host, quick())
			d := contenttest.Push(t, r, "a")
			if err := r.Tag(ctx, "v1", d); err != nil {
				t.Fatal(err)
			}
			if f != nil {
				reg.set(f)
			}
			for _, name := range []string{"v1", d.Digest.String()} {
				if got, err := r.Resolve(ctx, name); err != nil || got.Digest != d.Digest || got.Size != d.Size {
					t.Errorf("Resolve(%s) = %+v, %v", name, got, err)
				}
			}
		})
	}
	t.Run("another digest than asked for", func(t *testing.T) {
		reg := serve(t, server.Options{}, on("HEAD", status(200, "Content-Type: "+image.MediaTypeManifest,
			"Content-Length: 5", "Docker-Content-Digest: "+digest.FromString("evil").String())))
		_, err := repo(t, reg.host, quick()).Resolve(ctx, digest.FromString("good").String())
		if !errors.Is(err, errs.ErrDigest) {
			t.Errorf("Resolve: %v", err)
		}
	})
}

func TestErrors(t *testing.T) {
	ctx := context.Background()
	answer := func(code int, body string) fault {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	o := quick()
	o.Retries = -1
	for _, tt := range []struct {
		name string
		f    fault
		want error
		text string
	}{
		{"not found", answer(404, `{"errors":[{"code":"BLOB_UNKNOWN","message":"no such\u001b[31m blob"}]}`), errs.ErrNotFound, "404 Not Found: blob unknown: no such [31m blob"},
		{"unauthorized", answer(401, `{"errors":[{"code":"UNAUTHORIZED","message":"who?"}]}`), errs.ErrUnauthorized, "(try `mica login "},
		{"forbidden", answer(403, ``), errs.ErrUnauthorized, "`mica login "},
		{"not the specification's form", answer(400, `{"message":"quota"}`), nil, "400 Bad Request: quota"},
		{"several", answer(400, `{"errors":[{"code":"A_B","message":"one"},{"message":"two"}]}`), nil, "a b: one; two"},
		{"html", answer(502, `<html>`), nil, "502 Bad Gateway"},
		{"long", answer(400, `{"message":"`+strings.Repeat("x", 100000)+`"}`), nil, "400 Bad Request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := serve(t, server.Options{}, on("GET /v2/test/blobs", tt.f))
			_, err := repo(t, reg.host, o).Fetch(ctx, layerOf([]byte("x")))
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v; want %v with %q", err, tt.want, tt.text)
			}
			if err != nil && (len(err.Error()) > 1000 || strings.Contains(err.Error(), "\x1b")) {
				t.Errorf("error is unfit for a terminal: %q", err)
			}
			var e *remote.Error
			if !errors.As(err, &e) {
				t.Errorf("%T is no *remote.Error", err)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		_, err := repo(t, "127.0.0.1:1", o).Resolve(ctx, "v1")
		if err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("error %v", err)
		}
	})
}

func TestHosts(t *testing.T) {
	ctx := context.Background()
	tlsReg := serveWith(t, httptest.NewTLSServer, server.Options{})
	tlsReg.Config.ErrorLog = quietLog()
	port := tlsReg.host[strings.LastIndex(tlsReg.host, ":"):]
	t.Run("TLS on loopback needs no verification", func(t *testing.T) {
		if err := remote.New(quick()).Ping(ctx, tlsReg.host, nil); err != nil {
			t.Error(err)
		}
		if err := remote.New(quick()).Ping(ctx, "localhost"+port, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("an authority in certs.d is asked even on loopback", func(t *testing.T) {
		o := quick()
		o.CertsDirs = []string{certsDir(t, tlsReg.host, tlsReg.Server)}
		if err := remote.New(o).Ping(ctx, tlsReg.host, nil); err != nil {
			t.Error(err)
		}
		// The test certificate is not for this name.
		o.CertsDirs = []string{certsDir(t, "localhost"+port, tlsReg.Server)}
		if err := remote.New(o).Ping(ctx, "localhost"+port, nil); err == nil {
			t.Error("a certificate for another name was taken")
		}
	})
	t.Run("a bad certs.d is an error", func(t *testing.T) {
		o := quick()
		dir := certsDir(t, tlsReg.host, tlsReg.Server)
		writeFile(t, dir+"/"+tlsReg.host+"/ca.crt", "no certificate")
		o.CertsDirs = []string{dir}
		if err := remote.New(o).Ping(ctx, tlsReg.host, nil); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("Ping: %v", err)
		}
	})
}

// FuzzErrorBody reads what strangers answer.
func FuzzErrorBody(f *testing.F) {
	f.Add([]byte(`{"errors":[{"code":"A","message":"b"}]}`))
	f.Add([]byte(`{"message":"x"}`))
	var body []byte
	reg := serve(f, server.Options{}, on("GET /v2/test/blobs", func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(400)
		_, _ = w.Write(body)
		return true
	}))
	r := repo(f, reg.host, quick())
	d := layerOf([]byte("x"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		body = raw
		_, err := r.Fetch(context.Background(), d)
		if err == nil || len(err.Error()) > 4000 || strings.ContainsAny(err.Error(), "\x1b\n\r") {
			t.Errorf("error %q", err)
		}
	})
}
