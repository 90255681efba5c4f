package download_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/store"
	"github.com/mica-build/mica/transfer/download"
)

// A registry is one in this process that counts the bytes of blobs it sends, and may
// do harm before it answers.
type registry struct {
	*remote.Repository
	sent  atomic.Int64
	parts atomic.Int64

	mu   sync.Mutex
	harm func(w http.ResponseWriter, r *http.Request) http.ResponseWriter
}

func serve(t testing.TB) *registry {
	t.Helper()
	r := &registry{}
	h := server.New(server.NewMemory(), server.Options{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet && strings.Contains(req.URL.Path, "/blobs/") {
			r.mu.Lock()
			harm := r.harm
			r.mu.Unlock()
			if req.Header.Get("Range") != "" {
				r.parts.Add(1)
			}
			if harm != nil {
				w = harm(w, req)
			}
			w = &counted{w, &r.sent}
		}
		h.ServeHTTP(w, req)
	}))
	t.Cleanup(s.Close)
	name, err := ref.ParseName(strings.TrimPrefix(s.URL, "http://") + "/x")
	must(t, err)
	r.Repository = remote.New(remote.Options{RetryDelay: time.Millisecond, CertsDirs: []string{}}).Repository(name)
	return r
}

func (r *registry) set(harm func(http.ResponseWriter, *http.Request) http.ResponseWriter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.harm = harm
	r.sent.Store(0)
	r.parts.Store(0)
}

type counted struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// cut ends the connection after n bytes.
type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	c.left -= n
	if c.left <= 0 || err != nil {
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// makeLayer is a layer with a file of n bytes that do not compress; it is kept plain.
func makeLayer(t testing.TB, n int) ([]byte, image.Descriptor) {
	t.Helper()
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(data)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Name: "f", Size: int64(n), Mode: 0o644, Typeflag: tar.TypeReg}))
	_, err := w.Write(data)
	must(t, err)
	must(t, w.Close())
	return b.Bytes(), image.NewDescriptor(image.MediaTypeLayer, b.Bytes())
}

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func push(t testing.TB, r *registry, d image.Descriptor, data []byte) {
	t.Helper()
	must(t, r.Push(t.Context(), d, bytes.NewReader(data)))
	r.set(nil)
}

// check looks whether blob and tree are in the store.
func check(t testing.TB, s *store.Store, d image.Descriptor) {
	t.Helper()
	rc, err := s.Fetch(context.Background(), d)
	must(t, err)
	defer rc.Close()
	if _, err := io.Copy(io.Discard, rc); err != nil {
		t.Error(err)
	}
	if _, err := s.LayerByDiffID(context.Background(), d.Digest); err != nil {
		t.Error(err)
	}
}

func TestLayer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		size  int
		harm  func(http.ResponseWriter, *http.Request) http.ResponseWriter
		parts bool
	}{
		{"small", 1000, nil, false},
		{"one request", 3 << 20, nil, false},
		{"in parts", 40<<20 + 77, nil, true},
		{"no parts to be had", 20 << 20, func(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
			r.Header.Del("Range")
			return w
		}, true},
		{"connections that break", 20 << 20, func(w http.ResponseWriter, _ *http.Request) http.ResponseWriter {
			return &cut{w, 1 << 20}
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := serve(t)
			data, d := makeLayer(t, tt.size)
			push(t, r, d, data)
			r.set(tt.harm)
			s := openStore(t, t.TempDir())
			var mu sync.Mutex
			var last content.Event
			w := download.New(s, r, func(e content.Event) {
				mu.Lock()
				defer mu.Unlock()
				last = e
			})
			must(t, w.Layer(t.Context(), d, d.Digest))
			check(t, s, d)
			if last.State != content.Done {
				t.Errorf("the last event is %+v", last)
			}
			if got := r.parts.Load() > 0; got != tt.parts {
				t.Errorf("parts asked for: %v, want %v", got, tt.parts)
			}
			r.set(nil)
			must(t, w.Layer(t.Context(), d, d.Digest))
			if n := r.sent.Load(); n > 0 {
				t.Errorf("%d bytes were sent again", n)
			}
		})
	}
}

// A reading counts the bytes that were read of blobs: what a registry has sent and
// nobody has read is the network's.
type reading struct {
	*registry
	n atomic.Int64
}

func (c *reading) FetchRange(ctx context.Context, d image.Descriptor, off, n int64) (io.ReadCloser, error) {
	rc, err := c.registry.FetchRange(ctx, d, off, n)
	return &countedReader{rc, &c.n}, err
}

type countedReader struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *countedReader) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// TestResume stops a download again and again, each time from a new store handle, as
// another process would have.
func TestResume(t *testing.T) {
	r := serve(t)
	data, d := makeLayer(t, 60<<20)
	push(t, r, d, data)
	src := &reading{registry: r}
	dir := t.TempDir()
	stops := 0
	for {
		s, err := store.Open(dir, store.Options{})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		begun := src.n.Load()
		w := download.New(s, src, func(e content.Event) {
			if e.State == content.Moving && src.n.Load()-begun > 9<<20 {
				cancel()
			}
		})
		err = w.Layer(ctx, d, d.Digest)
		cancel()
		if err == nil {
			check(t, s, d)
			must(t, s.Close())
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		must(t, s.Close())
		if stops++; stops > 60 {
			t.Fatal("it does not come to an end")
		}
	}
	if stops < 3 {
		t.Errorf("it was stopped %d times only", stops)
	}
	// What is lost each time is what was read and not yet written.
	if most := int64(len(data)) + int64(stops)*4*(256<<10+64<<10); src.n.Load() > most {
		t.Errorf("%d bytes were read for a blob of %d, and %d stops", src.n.Load(), len(data), stops)
	}
}

// TestStale goes on with bytes that are wrong.
func TestStale(t *testing.T) {
	r := serve(t)
	data, d := makeLayer(t, 1<<20)
	push(t, r, d, data)
	s := openStore(t, t.TempDir())
	in, err := s.Receive(t.Context(), d)
	must(t, err)
	_, err = in.WriteAt(make([]byte, 64<<10), 0)
	must(t, err)
	must(t, in.Close())
	must(t, download.New(s, r, nil).Layer(t.Context(), d, d.Digest))
	check(t, s, d)
}

func TestErrors(t *testing.T) {
	r := serve(t)
	data, d := makeLayer(t, 1<<20)
	push(t, r, d, data)
	s := openStore(t, t.TempDir())
	w := download.New(s, r, nil)
	none := image.NewDescriptor(image.MediaTypeLayer, []byte("none"))
	none.Size = 30 << 20
	if err := w.Layer(t.Context(), none, none.Digest); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("a blob that is not there: %v", err)
	}
	if err := w.Layer(t.Context(), d, digest.FromString("x")); !errors.Is(err, errs.ErrDigest) {
		t.Errorf("a wrong diff id: %v", err)
	}
	r.set(func(w http.ResponseWriter, _ *http.Request) http.ResponseWriter { return &liar{w} })
	_, d2 := makeLayer(t, 1<<20+1)
	if err := w.Layer(t.Context(), d2, d2.Digest); err == nil {
		t.Error("a blob that was never pushed came")
	}
	if ok, err := s.Exists(t.Context(), d2); ok || err != nil {
		t.Errorf("it is in the store: %v, %v", ok, err)
	}
}

// liar changes a byte.
type liar struct{ http.ResponseWriter }

func (l *liar) Write(p []byte) (int, error) {
	q := bytes.Clone(p)
	if len(q) > 100 {
		q[100]++
	}
	return l.ResponseWriter.Write(q)
}

// TestWrongBytes has a registry that sends something else.
func TestWrongBytes(t *testing.T) {
	r := serve(t)
	data, d := makeLayer(t, 1<<20)
	push(t, r, d, data)
	r.set(func(w http.ResponseWriter, _ *http.Request) http.ResponseWriter { return &liar{w} })
	s := openStore(t, t.TempDir())
	if err := download.New(s, r, nil).Layer(t.Context(), d, d.Digest); err == nil {
		t.Error("wrong bytes were taken")
	}
	if ok, err := s.Exists(t.Context(), d); ok || err != nil {
		t.Errorf("wrong bytes are in the store: %v, %v", ok, err)
	}
	r.set(nil)
	must(t, download.New(s, r, nil).Layer(t.Context(), d, d.Digest))
	check(t, s, d)
}

// TestTogether lets several stores' handles want the same layer.
func TestTogether(t *testing.T) {
	r := serve(t)
	data, d := makeLayer(t, 20<<20)
	push(t, r, d, data)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		s := openStore(t, dir)
		wg.Go(func() {
			if err := download.New(s, r, nil).Layer(t.Context(), d, d.Digest); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	check(t, openStore(t, dir), d)
	if n := r.sent.Load(); n > int64(len(data))*105/100 {
		t.Errorf("%d bytes were sent for a blob of %d", n, len(data))
	}
}

// TestFullDisk pulls onto a disk that is too small, which is left as it was.
func TestFullDisk(t *testing.T) {
	testenv.Root(t)
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("needs a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(disk, unix.MNT_DETACH) })
	r := serve(t)
	data, d := makeLayer(t, 30<<20)
	push(t, r, d, data)
	s, err := store.Open(filepath.Join(disk, "store"), store.Options{})
	must(t, err)
	defer s.Close()
	if err := download.New(s, r, nil).Layer(t.Context(), d, d.Digest); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v, want that there is no space", err)
	}
	if ok, err := s.Exists(t.Context(), d); ok || err != nil {
		t.Errorf("it is there: %v, %v", ok, err)
	}
	s.WaitForRemovals(t.Context())
	var fs unix.Statfs_t
	must(t, unix.Statfs(disk, &fs))
	if used := (fs.Blocks - fs.Bavail) * uint64(fs.Bsize); used > 1<<20 {
		t.Errorf("%d bytes are still in use", used)
	}
	small, e := makeLayer(t, 1<<20)
	push(t, r, e, small)
	must(t, download.New(s, r, nil).Layer(t.Context(), e, e.Digest))
}
