package build

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/snapshot/overlay"
	"github.com/mica-build/mica/store"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	os.Exit(m.Run())
}

// A bench is a store and a context to build in.
type bench struct {
	testing.TB
	store *store.Store
	dir   string // the context
}

// newBench makes a store, and a context that holds a static busybox and files.
func newBench(t testing.TB, files map[string]string) *bench {
	t.Helper()
	testenv.Overlay(t)
	busybox, err := os.ReadFile(testenv.Busybox(t))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{TB: t, store: openStore(t), dir: t.TempDir()}
	b.write("busybox", string(busybox))
	if err := os.Chmod(filepath.Join(b.dir, "busybox"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		b.write(name, data)
	}
	return b
}

func openStore(t testing.TB) *store.Store {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// base is the start of a Dockerfile, with a stage that can run things.
const base = `FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
`

func (b *bench) write(name, data string) {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil { // whatever the umask
		b.Fatal(err)
	}
}

// try builds r in the bench's context.
func (b *bench) try(r Request) (*Result, error) {
	if r.Context == "" {
		r.Context = b.dir
	}
	return New(b.store, Options{Runner: &sandbox.Runner{}, Mounter: overlay.New()}).Build(b.Context(), &r)
}

func (b *bench) build(r Request) *Result {
	b.Helper()
	res, err := b.try(r)
	if err != nil {
		b.Fatal(err)
	}
	return res
}

// config is the config of the image that res made.
func (b *bench) config(res *Result) image.Config {
	b.Helper()
	raw, err := b.store.ReadBlob(b.Context(), res.ImageID)
	if err != nil {
		b.Fatal(err)
	}
	c, err := image.ParseConfig(raw)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// files builds r and gives the content of the files it makes, by name.
func (b *bench) files(r Request) map[string]string {
	b.Helper()
	var buf bytes.Buffer
	r.Outputs, r.Stdout = []Output{{Type: "tar", Dest: "-"}}, &buf
	b.build(r)
	out := map[string]string{}
	for tr := tar.NewReader(&buf); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			b.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg || strings.HasPrefix(h.Name, "bin/") {
			continue
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			b.Fatal(err)
		}
		out[h.Name] = string(data)
	}
}

func names(m map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}
