package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
)

// fakeUploads remembers uploads in memory.
type fakeUploads struct {
	mu   sync.Mutex
	kept map[string]string
}

func (f *fakeUploads) Begin(_ context.Context, key string) (remote.Upload, error) {
	return &fakeUpload{f, key}, nil
}

type fakeUpload struct {
	f   *fakeUploads
	key string
}

func (u *fakeUpload) Location() string {
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	return u.f.kept[u.key]
}

func (u *fakeUpload) Keep(location string) {
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	u.f.kept[u.key] = location
}

func (u *fakeUpload) End(forget bool) {
	u.f.mu.Lock()
	defer u.f.mu.Unlock()
	if forget {
		delete(u.f.kept, u.key)
	}
}

// stopping ends a context after some bytes were read, as if the process had died.
type stopping struct {
	io.Reader
	left int
	stop context.CancelFunc
}

func (s *stopping) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if s.left -= n; s.left < 0 {
		s.stop()
	}
	return n, err
}

func bigBlob() []byte {
	data := make([]byte, 40<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

// sentBytes counts what arrives in bodies.
func sentBytes(n *atomic.Int64) fault {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, countWriter{n}), r.Body}
		return false
	}
}

type countWriter struct{ n *atomic.Int64 }

func (c countWriter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// TestResumeUpload stops an upload again and again; another client goes on.
func TestResumeUpload(t *testing.T) {
	var sent atomic.Int64
	r := serve(t, server.Options{}, sentBytes(&sent))
	data := bigBlob()
	d := layerOf(data)
	u := &fakeUploads{kept: map[string]string{}}
	stops := 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		to := repo(t, r.host, quick())
		to.Resume(u)
		// What was sent before is read again, and not sent.
		err := to.Push(ctx, d, &stopping{bytes.NewReader(data), 9<<20 + stops*8<<20, cancel})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if stops++; stops > 20 {
			t.Fatal("it does not come to an end")
		}
	}
	if stops < 2 {
		t.Errorf("it was stopped %d times", stops)
	}
	if most := int64(len(data) + stops*(8<<20)); sent.Load() > most {
		t.Errorf("%d bytes were sent for a blob of %d, in %d turns", sent.Load(), len(data), stops+1)
	}
	if len(u.kept) > 0 {
		t.Errorf("remembered for nothing: %v", u.kept)
	}
	rc, err := repo(t, r.host, quick()).Fetch(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, data) {
		t.Errorf("other bytes came back: %d, %v", len(got), err)
	}
}

// TestResumeForgotten goes on with an upload that the registry knows nothing of any more.
func TestResumeForgotten(t *testing.T) {
	r := serve(t, server.Options{})
	data := bigBlob()
	d := layerOf(data)
	u := &fakeUploads{kept: map[string]string{}}
	to := repo(t, r.host, quick())
	to.Resume(u)
	u.kept[r.host+"/test@"+d.Digest.String()] = "http://" + r.host + "/v2/test/blobs/uploads/gone"
	if err := to.Push(t.Context(), d, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if ok, err := to.Exists(t.Context(), d); !ok || err != nil {
		t.Errorf("there: %v, %v", ok, err)
	}
}

// TestNoChunks pushes to a registry that takes blobs only whole.
func TestNoChunks(t *testing.T) {
	r := serve(t, server.Options{}, on("PATCH ", status(http.StatusMethodNotAllowed)))
	data := bigBlob()
	to := repo(t, r.host, quick())
	to.Resume(&fakeUploads{kept: map[string]string{}})
	if err := to.Push(t.Context(), layerOf(data), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
}

// TestResumeBreaks has connections that break, and a blob that is wrong.
func TestResumeBreaks(t *testing.T) {
	r := serve(t, server.Options{}, on("PATCH ", times(3, drop)))
	data := bigBlob()
	u := &fakeUploads{kept: map[string]string{}}
	to := repo(t, r.host, quick())
	to.Resume(u)
	if err := to.Push(t.Context(), layerOf(data), bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	wrong := layerOf(append([]byte("x"), data...))
	if err := to.Push(t.Context(), wrong, strings.NewReader(strings.Repeat("y", int(wrong.Size)))); err == nil {
		t.Error("wrong bytes were pushed")
	}
	if ok, _ := to.Exists(t.Context(), wrong); ok {
		t.Error("wrong bytes are there")
	}
}
