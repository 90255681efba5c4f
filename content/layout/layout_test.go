package layout_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/content/layout"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

func create(t testing.TB) *layout.Layout {
	t.Helper()
	l, err := layout.Create(filepath.Join(t.TempDir(), "a", "layout"))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestStore(t *testing.T) {
	contenttest.Store(t, func(t testing.TB) content.Store { return create(t) })
}

func TestOpen(t *testing.T) {
	write := func(version string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(version), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, tt := range []struct {
		name, dir string
		want      error
	}{
		{"missing", filepath.Join(t.TempDir(), "no"), errs.ErrNotFound},
		{"empty directory", t.TempDir(), errs.ErrNotFound},
		{"other version", write(`{"imageLayoutVersion":"2.0.0"}`), errs.ErrUnsupported},
		{"no JSON", write("x"), errs.ErrInvalid},
		{"layout", create(t).Dir(), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := layout.Open(tt.dir); !errors.Is(err, tt.want) {
				t.Errorf("Open: %v, want %v", err, tt.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	ctx := context.Background()
	l := create(t)
	one, two := contenttest.Push(t, l, "one"), contenttest.Push(t, l, "two")
	for _, e := range []layout.Entry{
		{Name: "docker.io/library/a:latest", Target: one},
		{Name: "docker.io/library/b:latest", Target: two},
		{Name: "v1", Target: one},
		{Name: "v1", Target: two},
	} {
		if err := l.Tag(ctx, e.Name, e.Target); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		want image.Descriptor
		err  error
	}{
		{"docker.io/library/a:latest", one, nil},
		{"a:latest", one, nil},
		{"docker.io/library/b:latest", two, nil},
		{"v1", two, nil},
		{one.Digest.String(), one, nil},
		{"latest", image.Descriptor{}, errs.ErrConflict},
		{"", image.Descriptor{}, errs.ErrConflict},
		{"docker.io/library/c:latest", image.Descriptor{}, errs.ErrNotFound},
		{"sha256:" + string(make([]byte, 0)) + "00", image.Descriptor{}, errs.ErrNotFound},
	} {
		got, err := l.Resolve(ctx, tt.name)
		if !errors.Is(err, tt.err) || got.Digest != tt.want.Digest {
			t.Errorf("Resolve(%q) = %s, %v; want %s, %v", tt.name, got.Digest, err, tt.want.Digest, tt.err)
		}
	}
	if err := l.Untag(ctx, "v1"); err != nil {
		t.Error(err)
	}
	if err := l.Untag(ctx, "v1"); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("second Untag: %v", err)
	}
	entries, err := l.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"docker.io/library/a:latest", "docker.io/library/b:latest"}, names); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
}

func TestResolveInner(t *testing.T) {
	ctx := context.Background()
	l := create(t)
	inner := contenttest.Push(t, l, "inner")
	x := contenttest.PushIndex(t, l, inner)
	if err := l.Tag(ctx, "v1", x); err != nil {
		t.Fatal(err)
	}
	got, err := l.Resolve(ctx, inner.Digest.String())
	if err != nil || got.MediaType != image.MediaTypeManifest || got.Size != inner.Size {
		t.Errorf("Resolve of a manifest within an index = %+v, %v", got, err)
	}
}

func TestConcurrentTags(t *testing.T) {
	ctx := context.Background()
	dir := create(t).Dir()
	var wg sync.WaitGroup
	const n = 20
	for i := range n {
		wg.Go(func() {
			l, err := layout.Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			d := contenttest.Push(t, l, "same")
			if err := l.Tag(ctx, "tag"+string(rune('a'+i)), d); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	l, err := layout.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := l.List(ctx); err != nil || len(entries) != n {
		t.Errorf("%d entries of %d, %v", len(entries), n, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".ingest-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
