package contenttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// Run checks the implementation that factory makes; each test gets a new, empty one.
func Run(t *testing.T, factory func(t testing.TB) content.Store) {
	tests := []struct {
		name string
		test func(*testing.T, content.Store)
	}{
		{"RoundTrip", roundTrip},
		{"PushTwice", pushTwice},
		{"PushWrong", pushWrong},
		{"PushBroken", pushBroken},
		{"FetchAbsent", fetchAbsent},
		{"FetchWrongSize", fetchWrongSize},
		{"Invalid", invalid},
		{"Names", names},
		{"TagAbsent", tagAbsent},
		{"Concurrent", concurrent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, factory(t)) })
	}
}

// A Blob is a piece of a Fixture.
type Blob struct {
	image.Descriptor
	Data []byte
}

// Fixture is a small image: layer, config and manifest, in the order in which
// they can be pushed. The last one is the manifest.
func Fixture() []Blob {
	layer := blob(image.MediaTypeLayer, strings.Repeat("\x00", 1024))
	config := blob(image.MediaTypeConfig, fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%q]}}`, layer.Digest))
	manifest := blob(image.MediaTypeManifest, fmt.Sprintf(
		`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		image.MediaTypeManifest, config.MediaType, config.Digest, config.Size, layer.MediaType, layer.Digest, layer.Size))
	return []Blob{layer, config, manifest}
}

// PushFixture pushes the fixture and gives the manifest's descriptor.
func PushFixture(t testing.TB, p content.Pusher) image.Descriptor {
	t.Helper()
	var last image.Descriptor
	for _, b := range Fixture() {
		if err := p.Push(t.Context(), b.Descriptor, bytes.NewReader(b.Data)); err != nil {
			t.Fatal(err)
		}
		last = b.Descriptor
	}
	return last
}

// RunReadOnly checks a source that holds the fixture, with its manifest called name.
func RunReadOnly(t *testing.T, src content.ReadOnly, name string) {
	blobs := Fixture()
	for _, b := range blobs {
		check(t, src, b)
	}
	got, err := src.Resolve(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(blobs[len(blobs)-1].Digest, got.Digest); diff != "" {
		t.Errorf("resolve %s (-want +got):\n%s", name, diff)
	}
	if _, err := src.Resolve(t.Context(), name+"-absent"); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("resolve a name that is not there: %v, want ErrNotFound", err)
	}
	absent := blob(image.MediaTypeLayer, "not there")
	if _, err := src.Fetch(t.Context(), absent.Descriptor); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("fetch a blob that is not there: %v, want ErrNotFound", err)
	}
}

func blob(mediaType, text string) Blob {
	return Blob{image.NewDescriptor(mediaType, []byte(text)), []byte(text)}
}

// read gives what Fetch gives, or the error of fetching or reading.
func read(ctx context.Context, f content.Fetcher, d image.Descriptor) ([]byte, error) {
	r, err := f.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func check(t *testing.T, f content.Fetcher, b Blob) {
	t.Helper()
	got, err := read(t.Context(), f, b.Descriptor)
	if err != nil {
		t.Fatalf("fetch %s: %v", b.Digest, err)
	}
	if !bytes.Equal(got, b.Data) {
		t.Errorf("fetch %s: got %d bytes that differ from the %d pushed", b.Digest, len(got), len(b.Data))
	}
}

func wantExists(t *testing.T, s content.Pusher, d image.Descriptor, want bool) {
	t.Helper()
	if got, err := s.Exists(t.Context(), d); err != nil || got != want {
		t.Errorf("exists %s = %v, %v, want %v", d.Digest, got, err, want)
	}
}

func roundTrip(t *testing.T, s content.Store) {
	blobs := append(Fixture(), blob("text/plain", ""), blob("text/plain", strings.Repeat("0123456789", 100_000)))
	for _, b := range blobs {
		wantExists(t, s, b.Descriptor, false)
		// One byte at a time at first: short reads are no end.
		r := io.MultiReader(iotest.OneByteReader(bytes.NewReader(b.Data[:min(len(b.Data), 100)])), bytes.NewReader(b.Data[min(len(b.Data), 100):]))
		if err := s.Push(t.Context(), b.Descriptor, r); err != nil {
			t.Fatalf("push %s: %v", b.Digest, err)
		}
		wantExists(t, s, b.Descriptor, true)
	}
	for _, b := range blobs {
		check(t, s, b)
	}
}

func pushTwice(t *testing.T, s content.Store) {
	b := blob("text/plain", "twice")
	for range 2 {
		if err := s.Push(t.Context(), b.Descriptor, bytes.NewReader(b.Data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Push(t.Context(), b.Descriptor, iotest.ErrReader(errors.New("must not matter"))); err != nil {
		t.Errorf("push of what is there: %v", err)
	}
	check(t, s, b)
}

func pushWrong(t *testing.T, s content.Store) {
	b := blob("text/plain", "right")
	for _, text := range []string{"wrong", "righ", "rightx", ""} {
		if err := s.Push(t.Context(), b.Descriptor, strings.NewReader(text)); !errors.Is(err, errs.ErrDigest) {
			t.Errorf("push %q as %q: %v, want ErrDigest", text, b.Data, err)
		}
		wantExists(t, s, b.Descriptor, false)
		if _, err := read(t.Context(), s, b.Descriptor); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("fetch after a wrong push: %v, want ErrNotFound", err)
		}
	}
	if err := s.Push(t.Context(), b.Descriptor, bytes.NewReader(b.Data)); err != nil {
		t.Fatalf("right push after wrong ones: %v", err)
	}
	check(t, s, b)
}

func pushBroken(t *testing.T, s content.Store) {
	b := blob("text/plain", "connection lost")
	cause := errors.New("reset by peer")
	r := io.MultiReader(bytes.NewReader(b.Data[:5]), iotest.ErrReader(cause))
	if err := s.Push(t.Context(), b.Descriptor, r); !errors.Is(err, cause) {
		t.Errorf("push from a broken reader: %v, want its error", err)
	}
	wantExists(t, s, b.Descriptor, false)
}

func fetchAbsent(t *testing.T, s content.Store) {
	b := blob("text/plain", "absent")
	if _, err := s.Fetch(t.Context(), b.Descriptor); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("fetch: %v, want ErrNotFound", err)
	}
	if _, err := s.Resolve(t.Context(), "example.com/absent:latest"); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("resolve: %v, want ErrNotFound", err)
	}
}

func fetchWrongSize(t *testing.T, s content.Store) {
	b := blob("text/plain", "sized")
	if err := s.Push(t.Context(), b.Descriptor, bytes.NewReader(b.Data)); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{b.Size - 1, b.Size + 1} {
		d := b.Descriptor
		d.Size = size
		if _, err := read(t.Context(), s, d); !errors.Is(err, errs.ErrDigest) && !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("fetch with size %d of %d: %v, want ErrDigest", size, b.Size, err)
		}
	}
	check(t, s, b)
}

func invalid(t *testing.T, s content.Store) {
	for _, d := range []digest.Digest{"", "sha256:", "sha256:../../../etc/passwd", "md5:d41d8cd98f00b204e9800998ecf8427e", digest.Digest("sha256:" + strings.Repeat("z", 64))} {
		desc := image.Descriptor{MediaType: "text/plain", Digest: d}
		if _, err := read(t.Context(), s, desc); err == nil {
			t.Errorf("fetch %q: no error", d)
		}
		if err := s.Push(t.Context(), desc, strings.NewReader("")); err == nil {
			t.Errorf("push %q: no error", d)
		}
	}
}

func names(t *testing.T, s content.Store) {
	first := PushFixture(t, s)
	second := blob(image.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`)
	if err := s.Push(t.Context(), second.Descriptor, bytes.NewReader(second.Data)); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name string
		d    image.Descriptor
	}{
		{"docker.io/library/app:latest", first},
		{"docker.io/library/app:v1", first},
		{"docker.io/library/app:latest", second.Descriptor},
	}
	want := map[string]image.Descriptor{}
	for _, st := range steps {
		if err := s.Tag(t.Context(), st.name, st.d); err != nil {
			t.Fatalf("tag %s: %v", st.name, err)
		}
		want[st.name] = st.d
		for name, d := range want {
			got, err := s.Resolve(t.Context(), name)
			if err != nil {
				t.Fatalf("resolve %s: %v", name, err)
			}
			if diff := cmp.Diff(d, got); diff != "" {
				t.Errorf("resolve %s (-want +got):\n%s", name, diff)
			}
		}
	}
}

func tagAbsent(t *testing.T, s content.Store) {
	b := blob(image.MediaTypeIndex, `{}`)
	if err := s.Tag(t.Context(), "docker.io/library/app:latest", b.Descriptor); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("tag of a blob that is not there: %v, want ErrNotFound", err)
	}
	if _, err := s.Resolve(t.Context(), "docker.io/library/app:latest"); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("resolve after a failed tag: %v, want ErrNotFound", err)
	}
}

func concurrent(t *testing.T, s content.Store) {
	const workers, blobs = 8, 20
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range blobs {
				b := blob("text/plain", fmt.Sprint("blob ", i))
				if err := s.Push(t.Context(), b.Descriptor, bytes.NewReader(b.Data)); err != nil {
					t.Errorf("worker %d: push: %v", w, err)
				}
				name := fmt.Sprintf("example.com/app:%d", i)
				if err := s.Tag(t.Context(), name, b.Descriptor); err != nil {
					t.Errorf("worker %d: tag: %v", w, err)
				}
				if got, err := s.Resolve(t.Context(), name); err != nil || got.Digest != b.Digest {
					t.Errorf("worker %d: resolve %s = %s, %v, want %s", w, name, got.Digest, err, b.Digest)
				}
			}
		})
	}
	wg.Wait()
	for i := range blobs {
		check(t, s, blob("text/plain", fmt.Sprint("blob ", i)))
	}
}
