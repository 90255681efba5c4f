package build

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/content/memory"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
	"github.com/mica-build/mica/ref"
)

var amd64, arm64 = image.Platform{OS: "linux", Architecture: "amd64"}, image.Platform{OS: "linux", Architecture: "arm64"}

// asked is a registry of one repository that counts what it is asked for.
type asked struct {
	*memory.Store
	mu      sync.Mutex
	fetched map[digest.Digest]int
}

func (a *asked) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	a.mu.Lock()
	a.fetched[d.Digest]++
	a.mu.Unlock()
	return a.Store.Fetch(ctx, d)
}

// newTestImages gives the images of a build on amd64, and the registry it reaches.
func newTestImages(t *testing.T) (*images, *asked) {
	t.Helper()
	testenv.Root(t)
	reg := &asked{Store: memory.New(), fetched: map[digest.Digest]int{}}
	b := New(openStore(t), Options{Platform: amd64, Registry: func(ref.Ref) (content.Store, error) { return reg, nil }})
	s, err := b.newSession(&Request{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s.images, reg
}

func TestResolveBase(t *testing.T) {
	m, reg := newTestImages(t)
	ctx := t.Context()
	old := contenttest.PushFor(t, m.s.store, amd64, "old")
	for name, d := range map[string]image.Descriptor{
		"both:latest":    old,
		"foreign:latest": contenttest.PushFor(t, m.s.store, arm64, "arm"),
		"stuck:1":        contenttest.PushFor(t, m.s.store, arm64, "stuck"),
	} {
		if err := m.s.store.Tag(ctx, "docker.io/library/"+name, d); err != nil {
			t.Fatal(err)
		}
	}
	// The registry has one repository: what is called latest there is the index.
	one, two := contenttest.PushFor(t, reg.Store, amd64, "new"), contenttest.PushFor(t, reg.Store, arm64, "new arm")
	index := contenttest.PushIndex(t, reg.Store, one, two)
	if err := reg.Tag(ctx, "latest", index); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		ref      string
		platform *image.Platform
		pull     bool
		root     digest.Digest
		arch     string
		err      error
		says     string
	}{
		{name: "the store comes first", ref: "both", root: old.Digest, arch: "amd64"},
		{name: "by digest, under any name", ref: "other@" + old.Digest.String(), root: old.Digest, arch: "amd64"},
		{name: "pulled anew", ref: "both", pull: true, root: index.Digest, arch: "amd64"},
		{name: "the store has another platform", ref: "foreign", root: index.Digest, arch: "amd64"},
		{name: "asked for a platform", ref: "none", platform: &arm64, root: index.Digest, arch: "arm64"},
		{name: "a platform that nobody has", ref: "none", platform: &image.Platform{OS: "linux", Architecture: "s390x"}, err: errs.ErrNotFound, says: "s390x"},
		{name: "a tag that nobody has", ref: "none:1", err: errs.ErrNotFound, says: "not in the store: "},
		{name: "a tag that is there for another platform", ref: "stuck:1", err: errs.ErrNotFound, says: "is for linux/arm64, not linux/amd64"},
		{name: "no name", ref: "UPPER", err: errs.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			m.calls = map[string]*imageCall{}
			img, err := m.resolve(ctx, c.ref, "", c.platform, c.pull)
			if c.err != nil {
				if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v, want %v that says %q", err, c.err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if img.root != c.root || img.config.Architecture != c.arch {
				t.Errorf("%s for %s, want %s for %s", img.root, img.config.Architecture, c.root, c.arch)
			}
			if !strings.HasSuffix(img.ref, "@"+string(c.root)) {
				t.Errorf("called %s", img.ref)
			}
		})
	}
}

// A resolved image is asked for once; layers come when a step needs them, each
// once however many ask.
func TestLayersOnDemand(t *testing.T) {
	m, reg := newTestImages(t)
	d := contenttest.PushFor(t, reg.Store, amd64, "one", "two")
	if err := reg.Tag(t.Context(), "latest", d); err != nil {
		t.Fatal(err)
	}
	layers, err := m.Layers(t.Context(), "base", "", nil, "")
	if err != nil {
		t.Fatal(err)
	}
	for d, n := range reg.fetched {
		if n != 1 {
			t.Errorf("%s was fetched %d times", d, n)
		}
	}
	for _, l := range layers {
		if reg.fetched[l.Desc.Digest] != 0 {
			t.Error("a layer was fetched before it was needed")
		}
	}
	var wg sync.WaitGroup
	for range 3 {
		for _, l := range layers {
			wg.Go(func() {
				if tree, err := l.Tree(t.Context()); err != nil || tree.DiffID != l.DiffID {
					t.Errorf("tree of %s: %v", tree.DiffID, err)
				}
			})
		}
	}
	wg.Wait()
	for _, l := range layers {
		if n := reg.fetched[l.Desc.Digest]; n != 1 {
			t.Errorf("layer %s was fetched %d times", l.DiffID, n)
		}
	}
	if bases, ok := m.fromStoreOnly(); ok || len(bases) != 0 {
		t.Errorf("bases of the store %v, %v", bases, ok)
	}
	if got := m.blobs()[layers[0].DiffID]; got.Digest != layers[0].Desc.Digest {
		t.Errorf("blob of the first layer is %s", got.Digest)
	}
}

// What a registry answers is bounded and checked.
func TestLoadRefuses(t *testing.T) {
	m, reg := newTestImages(t)
	big := image.Descriptor{MediaType: image.MediaTypeManifest, Digest: digest.FromString("big"), Size: image.MaxMetadata + 1}
	loop := contenttest.PushFor(t, reg.Store, amd64, "x")
	for range 7 {
		x := contenttest.PushIndex(t, reg.Store, loop)
		x.Platform = &amd64
		loop = x
	}
	short := contenttest.PushFor(t, reg.Store, amd64)
	config := reg.Add(image.MediaTypeConfig, []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["`+digest.FromString("l").String()+`"]}}`))
	odd := reg.Add(image.MediaTypeManifest, []byte(`{"schemaVersion":2,"mediaType":"`+image.MediaTypeManifest+`","config":{"mediaType":"`+image.MediaTypeConfig+`","digest":"`+config.Digest.String()+`","size":`+strconv.FormatInt(config.Size, 10)+`},"layers":[]}`))
	for _, c := range []struct {
		name string
		d    image.Descriptor
		err  error
	}{
		{"too large", big, errs.ErrTooLarge},
		{"indexes without end", loop, errs.ErrUnsupported},
		{"no image", image.Descriptor{MediaType: "text/plain", Digest: short.Digest, Size: short.Size}, errs.ErrUnsupported},
		{"more diff ids than layers", odd, errs.ErrInvalid},
		{"what is not there", image.Descriptor{MediaType: image.MediaTypeManifest, Digest: digest.FromString("gone"), Size: 1}, errs.ErrNotFound},
	} {
		if _, err := m.load(t.Context(), reg, c.d, amd64); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
}
