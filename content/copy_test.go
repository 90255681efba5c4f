package content_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/content/memory"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

var arm = image.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}

// log is a store that notes what is pushed to it, and how often what is fetched.
type log struct {
	*memory.Store
	mu      sync.Mutex
	pushed  []digest.Digest
	fetched map[digest.Digest]int
	fail    map[digest.Digest][]error // what the next pushes of a blob answer
	mounts  map[string]bool           // "from digest"
}

func newLog() *log {
	return &log{Store: memory.New(), fetched: map[digest.Digest]int{}, fail: map[digest.Digest][]error{}}
}

func (l *log) Push(ctx context.Context, d image.Descriptor, r io.Reader) error {
	l.mu.Lock()
	if f := l.fail[d.Digest]; len(f) > 0 {
		l.fail[d.Digest] = f[1:]
		l.mu.Unlock()
		return f[0]
	}
	l.mu.Unlock()
	if err := l.Store.Push(ctx, d, r); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pushed = append(l.pushed, d.Digest)
	return nil
}

func (l *log) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	l.mu.Lock()
	l.fetched[d.Digest]++
	l.mu.Unlock()
	return l.Store.Fetch(ctx, d)
}

func (l *log) Mount(_ context.Context, d image.Descriptor, from string) (bool, error) {
	if from == "forbidden" {
		return false, errs.ErrUnauthorized
	}
	return l.mounts[from+" "+d.Digest.String()], nil
}

func manifestOf(t *testing.T, f content.Fetcher, d image.Descriptor) image.Manifest {
	t.Helper()
	m, err := image.ParseManifest(contenttest.Read(t, f, d))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCopy(t *testing.T) {
	ctx := context.Background()
	src := newLog()
	amd := contenttest.Push(t, src, "shared", "amd")
	arm64 := contenttest.PushFor(t, src, arm, "shared", "arm")
	inner := contenttest.PushIndex(t, src, arm64)
	x := contenttest.PushIndex(t, src, amd, inner)
	for _, n := range []int{0, 1, 8} {
		t.Run(fmt.Sprintf("%d at once", n), func(t *testing.T) {
			dst := newLog()
			src.fetched = map[digest.Digest]int{}
			got, err := content.Copy(ctx, dst, src, x, content.CopyOptions{Concurrency: n})
			if err != nil || got.Digest != x.Digest {
				t.Fatalf("Copy = %s, %v", got.Digest, err)
			}
			for d, times := range src.fetched {
				if times != 1 {
					t.Errorf("%s was fetched %d times", d, times)
				}
			}
			at := func(d image.Descriptor) int { return slices.Index(dst.pushed, d.Digest) }
			for _, m := range []image.Descriptor{amd, arm64} {
				man := manifestOf(t, dst, m)
				for _, child := range append(man.Layers, man.Config) {
					if at(child) < 0 || at(child) > at(m) {
						t.Errorf("%s was pushed at %d, its manifest at %d", child.Digest, at(child), at(m))
					}
				}
			}
			if at(amd) > at(x) || at(inner) > at(x) || at(arm64) > at(inner) {
				t.Errorf("an index was pushed before what it lists: %v", dst.pushed)
			}
		})
	}
}

func TestCopyOrder(t *testing.T) {
	src := memory.New()
	d := contenttest.Push(t, src, "1", "2", "3", "4")
	m := manifestOf(t, src, d)
	want := []digest.Digest{m.Config.Digest}
	for _, l := range m.Layers {
		want = append(want, l.Digest)
	}
	want = append(want, d.Digest)
	for range 20 {
		dst := newLog()
		if _, err := content.Copy(context.Background(), dst, src, d, content.CopyOptions{Concurrency: 1}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, dst.pushed); diff != "" {
			t.Fatalf("order (-want +got):\n%s", diff)
		}
	}
}

func TestCopyPlatform(t *testing.T) {
	ctx := context.Background()
	src := memory.New()
	amd := contenttest.Push(t, src, "amd")
	arm64 := contenttest.PushFor(t, src, arm, "arm")
	flat := contenttest.PushIndex(t, src, amd, arm64)
	nested := contenttest.PushIndex(t, src, contenttest.PushIndex(t, src, amd), contenttest.PushIndex(t, src, arm64))
	for _, tt := range []struct {
		name     string
		from     image.Descriptor
		platform image.Platform
		keep     bool
		want     image.Descriptor
		err      error
	}{
		{"one of an index", flat, arm, false, arm64, nil},
		{"one of a nested index", nested, arm, false, arm64, nil},
		{"index kept", flat, arm, true, flat, nil},
		{"none", flat, image.Platform{OS: "plan9", Architecture: "mips"}, false, image.Descriptor{}, errs.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst := newLog()
			got, err := content.Copy(ctx, dst, src, tt.from, content.CopyOptions{Platform: &tt.platform, KeepIndex: tt.keep})
			if !errors.Is(err, tt.err) || got.Digest != tt.want.Digest {
				t.Fatalf("Copy = %s, %v; want %s, %v", got.Digest, err, tt.want.Digest, tt.err)
			}
			if slices.Contains(dst.pushed, amd.Digest) {
				t.Error("the other platform was copied too")
			}
			if _, err := dst.Store.Fetch(ctx, arm64); tt.err == nil && err != nil {
				t.Errorf("the platform was not copied: %v", err)
			}
		})
	}
}

func TestCopyExisting(t *testing.T) {
	src, dst := newLog(), newLog()
	d := contenttest.Push(t, src, "a", "b")
	if _, err := content.Copy(context.Background(), dst, src, d, content.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	src.fetched, dst.pushed = map[digest.Digest]int{}, nil
	var mu sync.Mutex
	states := map[content.State]int{}
	_, err := content.Copy(context.Background(), dst, src, d, content.CopyOptions{Progress: func(e content.Event) {
		mu.Lock()
		defer mu.Unlock()
		states[e.State]++
	}})
	if err != nil || len(src.fetched) > 0 || len(dst.pushed) > 0 {
		t.Errorf("again: fetched %v, pushed %v, %v", src.fetched, dst.pushed, err)
	}
	if diff := cmp.Diff(map[content.State]int{content.Exists: 4}, states); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestCopySkip(t *testing.T) {
	ctx := context.Background()
	src := memory.New()
	d := contenttest.Push(t, src, "a", "b")
	m := manifestOf(t, src, d)
	dst := newLog()
	_, err := content.Copy(ctx, dst, src, d, content.CopyOptions{Skip: func(_ context.Context, l image.Descriptor, diffID digest.Digest) (bool, error) {
		if diffID != l.Digest {
			t.Errorf("layer %s has diff id %q", l.Digest, diffID)
		}
		return l.Digest == m.Layers[0].Digest, nil
	}})
	if err != nil || slices.Contains(dst.pushed, m.Layers[0].Digest) || !slices.Contains(dst.pushed, m.Layers[1].Digest) {
		t.Errorf("pushed %v, %v", dst.pushed, err)
	}
	stop := errors.New("stop")
	_, err = content.Copy(ctx, memory.New(), src, d, content.CopyOptions{Skip: func(context.Context, image.Descriptor, digest.Digest) (bool, error) {
		return false, stop
	}})
	if !errors.Is(err, stop) {
		t.Errorf("an error of Skip: %v", err)
	}
}

// temporaryError calls for another attempt.
type temporaryError struct{}

func (temporaryError) Error() string   { return "temporary" }
func (temporaryError) Temporary() bool { return true }

func TestCopyAgain(t *testing.T) {
	ctx := context.Background()
	src := memory.New()
	d := contenttest.Push(t, src, "a")
	layer := manifestOf(t, src, d).Layers[0].Digest
	final := errors.New("final")
	for _, tt := range []struct {
		name string
		fail []error
		want error
	}{
		{"twice", []error{temporaryError{}, temporaryError{}}, nil},
		{"always", slices.Repeat([]error{temporaryError{}}, 100), temporaryError{}},
		{"for good", []error{final}, final},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst := newLog()
			dst.fail[layer] = tt.fail
			_, err := content.Copy(ctx, dst, src, d, content.CopyOptions{})
			if !errors.Is(err, tt.want) {
				t.Errorf("Copy: %v, want %v", err, tt.want)
			}
			if ok, _ := dst.Exists(ctx, d); ok != (tt.want == nil) {
				t.Errorf("manifest there: %v", ok)
			}
		})
	}
}

func TestCopyMount(t *testing.T) {
	src := memory.New()
	d := contenttest.Push(t, src, "a", "b")
	m := manifestOf(t, src, d)
	dst := newLog()
	dst.mounts = map[string]bool{"other " + m.Layers[0].Digest.String(): true}
	var from string
	_, err := content.Copy(context.Background(), dst, src, d, content.CopyOptions{
		Concurrency: 1,
		MountFrom:   func(image.Descriptor) []string { return []string{"forbidden", "none", "other"} },
		Progress: func(e content.Event) {
			if e.State == content.Mounted {
				from += e.From + " " + e.Blob.Digest.String()
			}
		},
	})
	if err != nil || from != "other "+m.Layers[0].Digest.String() || slices.Contains(dst.pushed, m.Layers[0].Digest) {
		t.Errorf("mounted %q, pushed %v, %v", from, dst.pushed, err)
	}
}

func TestCopyRefuses(t *testing.T) {
	ctx := context.Background()
	src := memory.New()
	schema1 := src.Add(image.DockerManifestSchema1, []byte("{}"))
	deep := contenttest.Push(t, src, "a")
	for range 20 {
		deep = contenttest.PushIndex(t, src, deep)
	}
	missing := contenttest.PushIndex(t, src, contenttest.Push(t, memory.New(), "elsewhere"))
	large := src.Add(image.MediaTypeManifest, make([]byte, image.MaxMetadata+1))
	for _, tt := range []struct {
		name string
		d    image.Descriptor
		want error
	}{
		{"schema 1", schema1, errs.ErrUnsupported},
		{"deep", deep, errs.ErrInvalid},
		{"missing", missing, errs.ErrNotFound},
		{"large", large, errs.ErrTooLarge},
		{"no manifest", src.Add(image.MediaTypeManifest, []byte("no")), errs.ErrInvalid},
		{"no index", src.Add(image.MediaTypeIndex, []byte("no")), errs.ErrInvalid},
	} {
		dst := newLog()
		if _, err := content.Copy(ctx, dst, src, tt.d, content.CopyOptions{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if slices.Contains(dst.pushed, tt.d.Digest) {
			t.Errorf("%s: its root was pushed nevertheless", tt.name)
		}
	}
	if _, err := content.Copy(ctx, memory.New(), src, missing, content.CopyOptions{Sparse: true}); err != nil {
		t.Errorf("sparse: %v", err)
	}
}

func TestCopyForeign(t *testing.T) {
	ctx := context.Background()
	src := memory.New()
	layer := src.Add(image.DockerForeignLayer, []byte("foreign"))
	config := src.Add(image.DockerConfig, []byte("{}"))
	m := src.Add(image.DockerManifest, fmt.Appendf(nil,
		`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":2},"layers":[{"mediaType":%q,"digest":%q,"size":7}]}`,
		image.DockerConfig, config.Digest, layer.MediaType, layer.Digest))
	for foreign, want := range map[bool]bool{false: false, true: true} {
		dst := newLog()
		if _, err := content.Copy(ctx, dst, src, m, content.CopyOptions{Foreign: foreign}); err != nil {
			t.Fatal(err)
		}
		if got := slices.Contains(dst.pushed, layer.Digest); got != want {
			t.Errorf("Foreign %v: layer copied: %v", foreign, got)
		}
	}
}

func TestCopyName(t *testing.T) {
	ctx := context.Background()
	src, dst := memory.New(), memory.New()
	d := contenttest.Push(t, src, "a")
	if err := src.Tag(ctx, "from", d); err != nil {
		t.Fatal(err)
	}
	if _, err := content.CopyName(ctx, dst, "to", src, "from", content.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if got, err := dst.Resolve(ctx, "to"); err != nil || got.Digest != d.Digest {
		t.Errorf("Resolve = %s, %v", got.Digest, err)
	}
	if _, err := content.CopyName(ctx, dst, "to", src, "no", content.CopyOptions{}); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("copy of no name: %v", err)
	}
}
