package contenttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// Name is the reference that the suite tags and resolves.
const Name = "docker.io/library/contenttest:latest"

// Store runs the suite. open gives a new, empty store.
func Store(t *testing.T, open func(testing.TB) content.Store) {
	ctx := context.Background()
	t.Run("a blob comes back as it went in", func(t *testing.T) {
		s := open(t)
		for _, data := range [][]byte{[]byte("hello"), {}, bytes.Repeat([]byte("0123456789abcdef"), 1<<16)} {
			d := image.NewDescriptor(image.MediaTypeLayer, data)
			must(t, s.Push(ctx, d, bytes.NewReader(data)))
			if ok, err := s.Exists(ctx, d); err != nil || !ok {
				t.Fatalf("Exists = %v, %v after Push", ok, err)
			}
			if got := Read(t, s, d); !bytes.Equal(got, data) {
				t.Errorf("blob of %d bytes came back as %d others", len(data), len(got))
			}
		}
	})
	t.Run("a blob with a sha512 digest", func(t *testing.T) {
		s := open(t)
		data := []byte("long digest")
		d := image.Descriptor{MediaType: image.MediaTypeLayer, Digest: digest.SHA512.FromBytes(data), Size: int64(len(data))}
		must(t, s.Push(ctx, d, bytes.NewReader(data)))
		if got := Read(t, s, d); !bytes.Equal(got, data) {
			t.Errorf("got %q, want %q", got, data)
		}
	})
	t.Run("pushing again changes nothing", func(t *testing.T) {
		s := open(t)
		data := []byte("twice")
		d := image.NewDescriptor(image.MediaTypeLayer, data)
		must(t, s.Push(ctx, d, bytes.NewReader(data)))
		must(t, s.Push(ctx, d, bytes.NewReader(data)))
		if got := Read(t, s, d); !bytes.Equal(got, data) {
			t.Errorf("got %q, want %q", got, data)
		}
	})
	t.Run("wrong bytes are refused and not kept", func(t *testing.T) { wrongBytes(t, open) })
	t.Run("what is not there is not found", func(t *testing.T) {
		s := open(t)
		d := image.NewDescriptor(image.MediaTypeLayer, []byte("missing"))
		if ok, err := s.Exists(ctx, d); err != nil || ok {
			t.Errorf("Exists = %v, %v for a missing blob", ok, err)
		}
		if err := fetchErr(s, d); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("Fetch of a missing blob: %v", err)
		}
		if _, err := s.Resolve(ctx, Name); !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("Resolve of a missing name: %v", err)
		}
	})
	t.Run("a name stands for the last manifest it was given", func(t *testing.T) {
		s := open(t)
		for _, text := range []string{"one", "two"} {
			d := Push(t, s, text)
			must(t, s.Tag(ctx, Name, d))
			got, err := s.Resolve(ctx, Name)
			must(t, err)
			if diff := cmp.Diff([]any{d.MediaType, d.Digest, d.Size}, []any{got.MediaType, got.Digest, got.Size}); diff != "" {
				t.Errorf("Resolve (-want +got):\n%s", diff)
			}
		}
	})
	for _, tt := range []struct {
		name string
		test func(*testing.T, content.Store)
	}{
		{"a blob arrives byte by byte", shortReads},
		{"half a blob is not kept", brokenReader},
		{"a wrong size is noticed", wrongSize},
		{"bad digests are refused", badDigests},
		{"what is not there gets no name", tagAbsent},
		{"many at once", parallel},
		{"many tags at once", parallelTags},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

func wrongBytes(t *testing.T, open func(testing.TB) content.Store) {
	ctx := context.Background()
	good := bytes.Repeat([]byte("x"), 1000)
	d := image.NewDescriptor(image.MediaTypeLayer, good)
	for name, bad := range map[string][]byte{
		"short": good[:999], "long": append(bytes.Clone(good), 'x'),
		"changed": append(bytes.Clone(good[:999]), 'y'), "empty": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			if err := s.Push(ctx, d, bytes.NewReader(bad)); !errors.Is(err, errs.ErrDigest) {
				t.Errorf("Push: %v, want errs.ErrDigest", err)
			}
			if ok, _ := s.Exists(ctx, d); ok {
				t.Error("the blob exists nevertheless")
			}
			must(t, s.Push(ctx, d, bytes.NewReader(good)))
			if got := Read(t, s, d); !bytes.Equal(got, good) {
				t.Error("the right bytes were not stored after wrong ones")
			}
		})
	}
}

// parallel pushes the same and other blobs from several goroutines.
func parallel(t *testing.T, s content.Store) {
	ctx := context.Background()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			data := bytes.Repeat([]byte{byte(i / 2)}, 10000)
			d := image.NewDescriptor(image.MediaTypeLayer, data)
			if err := s.Push(ctx, d, bytes.NewReader(data)); err != nil {
				t.Errorf("push %d: %v", i, err)
				return
			}
			rc, err := s.Fetch(ctx, d)
			if err != nil {
				t.Errorf("fetch %d: %v", i, err)
				return
			}
			defer rc.Close()
			if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, data) {
				t.Errorf("read %d: %d bytes, %v", i, len(got), err)
			}
		})
	}
	wg.Wait()
}

// Read reads a blob whole.
func Read(t testing.TB, f content.Fetcher, d image.Descriptor) []byte {
	t.Helper()
	rc, err := f.Fetch(context.Background(), d)
	must(t, err)
	defer rc.Close()
	got, err := io.ReadAll(rc)
	must(t, err)
	return got
}

func fetchErr(f content.Fetcher, d image.Descriptor) error {
	rc, err := f.Fetch(context.Background(), d)
	if err != nil {
		return err
	}
	defer rc.Close()
	_, err = io.ReadAll(rc)
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
