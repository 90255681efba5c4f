package remote_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/content/memory"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server"
)

func random(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

// TestResume breaks the connection in the middle of a blob, again and again.
func TestResume(t *testing.T) {
	data := random(1 << 20)
	d := layerOf(data)
	for _, tt := range []struct {
		name  string
		fault func(**registry) fault
		gets  int
	}{
		{"cut", func(r **registry) fault { return times(5, cut(r, 150_000)) }, 6},
		{"no ranges", func(r **registry) fault {
			var n atomic.Int32
			return func(w http.ResponseWriter, req *http.Request) bool {
				req.Header.Del("Range")
				return n.Add(1) == 1 && cut(r, 500_000)(w, req)
			}
		}, 2},
		{"an earlier range", func(r **registry) fault {
			var n atomic.Int32
			return func(w http.ResponseWriter, req *http.Request) bool {
				if n.Add(1) == 1 {
					return cut(r, 500_000)(w, req)
				}
				req.Header.Set("Range", "bytes=1000-")
				return false
			}
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := serve(t, server.Options{})
			r := repo(t, reg.host, quick())
			if err := r.Push(context.Background(), d, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
			reg.set()
			if f := tt.fault(&reg); f != nil {
				reg.set(on("GET /v2/test/blobs/sha256", f))
			}
			if got := contenttest.Read(t, r, d); !bytes.Equal(got, data) {
				t.Error("other bytes came")
			}
			if n := reg.count("GET /v2/test/blobs/sha256"); n != tt.gets {
				t.Errorf("%d requests, want %d", n, tt.gets)
			}
		})
	}
}

// TestBadBodies never takes wrong bytes, and never hangs.
func TestBadBodies(t *testing.T) {
	data := random(100_000)
	d := layerOf(data)
	send := func(f func(w http.ResponseWriter)) fault {
		return func(w http.ResponseWriter, _ *http.Request) bool { f(w); return true }
	}
	changed := bytes.Clone(data)
	changed[50_000] ^= 1
	for _, tt := range []struct {
		name string
		f    fault
		want error
	}{
		{"changed", send(func(w http.ResponseWriter) { _, _ = w.Write(changed) }), errs.ErrDigest},
		{"long", send(func(w http.ResponseWriter) { _, _ = w.Write(append(bytes.Clone(data), 'x')) }), errs.ErrDigest},
		{"short", send(func(w http.ResponseWriter) { _, _ = w.Write(data[:1000]) }), nil},
		{"empty", send(func(http.ResponseWriter) {}), nil},
		{"endless", send(func(w http.ResponseWriter) {
			for {
				if _, err := w.Write(data); err != nil {
					return
				}
			}
		}), errs.ErrDigest},
		{"always cut", on("GET", drop), nil},
		{"stalled", send(func(w http.ResponseWriter) {
			_, _ = w.Write(data[:1000])
			_ = http.NewResponseController(w).Flush()
			time.Sleep(300 * time.Millisecond)
		}), nil},
		{"wrong range", status(206, "Content-Range: bytes 99999999-999999999/1000000000"), errs.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			reg := serve(t, server.Options{}, on("GET /v2/test/blobs", tt.f))
			o := quick()
			o.Retries = 2
			o.StallTimeout = 100 * time.Millisecond
			rc, err := repo(t, reg.host, o).Fetch(ctx, d)
			if err == nil {
				_, err = io.Copy(io.Discard, rc)
				rc.Close()
			}
			if err == nil || ctx.Err() != nil || (tt.want != nil && !errors.Is(err, tt.want)) {
				t.Errorf("error %v, want %v; %v", err, tt.want, ctx.Err())
			}
		})
	}
}

// TestSlowAnswers: what is no blob neither trickles for ever.
func TestSlowAnswers(t *testing.T) {
	for name, code := range map[string]int{"manifest": 200, "refusal": 403} {
		t.Run(name, func(t *testing.T) {
			reg := serve(t, server.Options{}, on("HEAD", status(405)), on("GET /v2/test/manifests", func(w http.ResponseWriter, r *http.Request) bool {
				w.WriteHeader(code)
				for r.Context().Err() == nil {
					_, _ = w.Write([]byte("{"))
					_ = http.NewResponseController(w).Flush()
					time.Sleep(10 * time.Millisecond)
				}
				return true
			}))
			o := quick()
			o.Retries = -1
			o.StallTimeout = 100 * time.Millisecond
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if _, err := repo(t, reg.host, o).Resolve(ctx, "x"); err == nil || ctx.Err() != nil {
				t.Errorf("error %v; %v", err, ctx.Err())
			}
		})
	}
}

// TestRedirectToFile: no redirect leads to a file of this machine.
func TestRedirectToFile(t *testing.T) {
	data := []byte("of the host")
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	reg := serve(t, server.Options{}, on("GET /v2/test/blobs", func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Location", "file://"+path)
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}))
	o := quick()
	o.Retries = -1
	if rc, err := repo(t, reg.host, o).Fetch(t.Context(), layerOf(data)); err == nil {
		rc.Close()
		t.Error("fetched a file")
	}
}

func TestRetry(t *testing.T) {
	ctx := context.Background()
	data := []byte("again")
	d := layerOf(data)
	for _, tt := range []struct {
		name  string
		f     fault
		fails bool
		heads int
	}{
		{"503 twice", times(2, status(503)), false, 3},
		{"500 once", times(1, status(500)), false, 2},
		{"429 with a short wait", times(1, status(429, "Retry-After: 0")), false, 2},
		{"429 with a date gone by", times(1, status(429, "Retry-After: Mon, 02 Jan 2006 15:04:05 GMT")), false, 2},
		{"429 with a long wait", status(429, "Retry-After: 3600"), true, 1},
		{"dropped twice", times(2, drop), false, -1},
		{"503 always", status(503), true, 5},
		{"400", status(400), true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := serve(t, server.Options{})
			r := repo(t, reg.host, quick())
			if err := r.Push(ctx, d, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
			reg.set(on("HEAD", tt.f))
			ok, err := r.Exists(ctx, d)
			if (err != nil) != tt.fails || ok == tt.fails {
				t.Errorf("Exists = %v, %v", ok, err)
			}
			if n := reg.count("HEAD"); tt.heads >= 0 && n != tt.heads {
				t.Errorf("%d requests, want %d", n, tt.heads)
			}
		})
	}
	t.Run("cancelled while waiting", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		reg := serve(t, server.Options{}, on("HEAD", status(429, "Retry-After: 30")))
		start := time.Now()
		if _, err := repo(t, reg.host, quick()).Exists(ctx, d); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
			t.Errorf("Exists: %v after %v", err, time.Since(start))
		}
	})
}

// onlyReader hides that a reader can seek.
type onlyReader struct{ io.Reader }

func TestUploadFaults(t *testing.T) {
	ctx := context.Background()
	data := random(300_000)
	d := layerOf(data)
	partly := func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		panic(http.ErrAbortHandler)
	}
	for _, tt := range []struct {
		name  string
		f     fault
		chunk int64
	}{
		{"PUT breaks", on("PUT /v2/test/blobs", times(1, partly)), 0},
		{"PUT too large", on("PUT /v2/test/blobs", times(1, status(413))), 0},
		{"PUT 503", on("PUT /v2/test/blobs", times(1, status(503))), 0},
		{"POST 503", on("POST /v2/test/blobs", times(1, status(503))), 0},
		{"PATCH breaks", on("PATCH", times(2, partly)), 50_000},
		{"PATCH 502", on("PATCH", times(2, status(502))), 50_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := serve(t, server.Options{}, tt.f)
			o := quick()
			o.ChunkSize = tt.chunk
			r := repo(t, reg.host, o)
			if err := r.Push(ctx, d, bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
			if got := contenttest.Read(t, r, d); !bytes.Equal(got, data) {
				t.Error("other bytes arrived")
			}
		})
	}
	t.Run("a stream is opened again by Copy", func(t *testing.T) {
		src := memory.New()
		src.Add(d.MediaType, data)
		reg := serve(t, server.Options{}, on("PUT /v2/test/blobs", times(1, partly)))
		r := repo(t, reg.host, quick())
		if _, err := content.Copy(ctx, r, src, d, content.CopyOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("a stream by itself cannot be", func(t *testing.T) {
		reg := serve(t, server.Options{}, on("PUT /v2/test/blobs", partly))
		err := repo(t, reg.host, quick()).Push(ctx, d, onlyReader{bytes.NewReader(data)})
		var temporary interface{ Temporary() bool }
		if !errors.As(err, &temporary) || !temporary.Temporary() {
			t.Errorf("Push: %v", err)
		}
	})
	t.Run("a proxy that wants no large bodies", func(t *testing.T) {
		reg := serve(t, server.Options{}, func(w http.ResponseWriter, r *http.Request) bool {
			return r.ContentLength > 20<<20 && status(413)(w, r)
		})
		big := random(21 << 20)
		if err := repo(t, reg.host, quick()).Push(ctx, layerOf(big), bytes.NewReader(big)); err != nil {
			t.Error(err)
		}
	})
	t.Run("bad locations", func(t *testing.T) {
		for _, l := range []string{"", "::", "ftp://x/y"} {
			reg := serve(t, server.Options{}, on("POST", status(202, "Location: "+l)))
			if err := repo(t, reg.host, quick()).Push(ctx, d, bytes.NewReader(data)); !errors.Is(err, errs.ErrInvalid) {
				t.Errorf("location %q: %v", l, err)
			}
		}
	})
}

// TestManifestDigest notices a registry that stores something else.
func TestManifestDigest(t *testing.T) {
	reg := serve(t, server.Options{}, on("PUT /v2/test/manifests", status(201, fmt.Sprintf("Docker-Content-Digest: sha256:%s", strings.Repeat("0", 64)))))
	src := memory.New()
	d := contenttest.Push(t, src, "a")
	_, err := content.Copy(context.Background(), repo(t, reg.host, quick()), src, d, content.CopyOptions{})
	if !errors.Is(err, errs.ErrDigest) {
		t.Errorf("Copy: %v", err)
	}
}

// TestStallResumes: a connection on which nothing comes any more is given up, and the
// rest asked for on another.
func TestStallResumes(t *testing.T) {
	data := bytes.Repeat([]byte("stall "), 100_000)
	d := layerOf(data)
	reg := serve(t, server.Options{})
	if err := repo(t, reg.host, quick()).Push(t.Context(), d, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	reg.set(on("GET /v2/test/blobs", times(2, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			_, _ = w.Write(data[:1000])
		} else {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 1000-%d/%d", len(data)-1, len(data)))
			w.WriteHeader(http.StatusPartialContent)
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})))
	o := quick()
	o.StallTimeout = 100 * time.Millisecond
	rc, err := repo(t, reg.host, o).Fetch(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
