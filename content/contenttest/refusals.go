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

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// shortReads pushes a blob that arrives byte by byte.
func shortReads(t *testing.T, s content.Store) {
	data := []byte(strings.Repeat("short reads are no end ", 20))
	d := image.NewDescriptor(image.MediaTypeLayer, data)
	must(t, s.Push(context.Background(), d, iotest.OneByteReader(bytes.NewReader(data))))
	if got := Read(t, s, d); !bytes.Equal(got, data) {
		t.Errorf("blob of %d bytes came back as %d others", len(data), len(got))
	}
}

// brokenReader pushes from a connection that is lost.
func brokenReader(t *testing.T, s content.Store) {
	ctx := context.Background()
	data := []byte("connection lost")
	d := image.NewDescriptor(image.MediaTypeLayer, data)
	cause := errors.New("reset by peer")
	r := io.MultiReader(bytes.NewReader(data[:5]), iotest.ErrReader(cause))
	if err := s.Push(ctx, d, r); !errors.Is(err, cause) {
		t.Errorf("Push: %v, want the reader's error", err)
	}
	if ok, err := s.Exists(ctx, d); err != nil || ok {
		t.Errorf("Exists = %v, %v after half a blob", ok, err)
	}
}

// wrongSize fetches with a descriptor of another size.
func wrongSize(t *testing.T, s content.Store) {
	data := []byte("sized")
	d := image.NewDescriptor(image.MediaTypeLayer, data)
	must(t, s.Push(context.Background(), d, bytes.NewReader(data)))
	for _, size := range []int64{d.Size - 1, d.Size + 1} {
		other := d
		other.Size = size
		// A registry may also fail to find the bytes that are not there.
		if err := fetchErr(s, other); err == nil {
			t.Errorf("Fetch with size %d of %d: no error", size, d.Size)
		}
	}
	if got := Read(t, s, d); !bytes.Equal(got, data) {
		t.Errorf("got %q, want %q", got, data)
	}
}

// badDigests uses digests that are none, and such as are dangerous in a path.
func badDigests(t *testing.T, s content.Store) {
	for _, bad := range []digest.Digest{
		"", "sha256:", "sha256:../../../etc/passwd", "md5:d41d8cd98f00b204e9800998ecf8427e",
		digest.Digest("sha256:" + strings.Repeat("z", 64)),
	} {
		d := image.Descriptor{MediaType: image.MediaTypeLayer, Digest: bad}
		if err := fetchErr(s, d); err == nil {
			t.Errorf("Fetch of %q: no error", bad)
		}
		if err := s.Push(context.Background(), d, strings.NewReader("")); err == nil {
			t.Errorf("Push of %q: no error", bad)
		}
	}
}

// tagAbsent tags a manifest that was not pushed.
func tagAbsent(t *testing.T, s content.Store) {
	ctx := context.Background()
	d := image.NewDescriptor(image.MediaTypeIndex, []byte(`{"schemaVersion":2,"manifests":[]}`))
	if err := s.Tag(ctx, Name, d); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("Tag of a missing manifest: %v, want errs.ErrNotFound", err)
	}
	if _, err := s.Resolve(ctx, Name); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("Resolve after a failed Tag: %v, want errs.ErrNotFound", err)
	}
}

// parallelTags pushes and tags from several goroutines.
func parallelTags(t *testing.T, s content.Store) {
	ctx := context.Background()
	d := Push(t, s, "parallel")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprint(strings.TrimSuffix(Name, "latest"), "v", i)
			if err := s.Tag(ctx, name, d); err != nil {
				t.Errorf("tag %s: %v", name, err)
				return
			}
			if got, err := s.Resolve(ctx, name); err != nil || got.Digest != d.Digest {
				t.Errorf("resolve %s = %s, %v, want %s", name, got.Digest, err, d.Digest)
			}
		})
	}
	wg.Wait()
}
