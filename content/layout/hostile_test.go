//go:build unix

package layout_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ocilayout"
)

func TestHostileBlobs(t *testing.T) {
	ctx := context.Background()
	l := create(t)
	d := image.NewDescriptor(image.MediaTypeLayer, []byte("pipe"))
	path := filepath.Join(l.Dir(), filepath.FromSlash(ocilayout.BlobPath(d.Digest)))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skipf("needs named pipes: %v", err)
	}
	if _, err := l.Fetch(ctx, d); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("Fetch of a pipe: %v", err)
	}
	if _, err := l.Fetch(ctx, image.Descriptor{Digest: "sha256:../../etc/passwd", Size: 1}); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("Fetch of a path: %v", err)
	}
}
