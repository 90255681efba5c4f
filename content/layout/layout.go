package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/internal/ocilayout"
)

var _ content.Store = (*Layout)(nil)

// A Layout is one layout directory.
type Layout struct {
	dir string
}

// Open opens the layout at dir. errs.ErrNotFound if there is none.
func Open(dir string) (*Layout, error) {
	raw, err := readFile(filepath.Join(dir, ocispec.ImageLayoutFile))
	if err != nil {
		return nil, fmt.Errorf("open OCI layout %s: %w", dir, err)
	}
	if err := ocilayout.CheckVersion(raw); err != nil {
		return nil, fmt.Errorf("open OCI layout %s: %w", dir, err)
	}
	return &Layout{dir: dir}, nil
}

// Create opens the layout at dir and makes it if there is none.
func Create(dir string) (*Layout, error) {
	l, err := Open(dir)
	if err == nil || !errors.Is(err, errs.ErrNotFound) {
		return l, err
	}
	if err := os.MkdirAll(filepath.Join(dir, ocispec.ImageBlobsDir), 0o755); err != nil {
		return nil, fmt.Errorf("create OCI layout: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(dir, ocispec.ImageLayoutFile), ocilayout.Version(), atomicfile.Options{}); err != nil {
		return nil, fmt.Errorf("create OCI layout: %w", err)
	}
	l = &Layout{dir: dir}
	return l, l.update(context.Background(), func(*image.Index) error { return nil })
}

// Dir is the layout's directory.
func (l *Layout) Dir() string { return l.dir }

// Fetch opens a blob.
func (l *Layout) Fetch(_ context.Context, d image.Descriptor) (io.ReadCloser, error) {
	path, err := l.blob(d)
	if err != nil {
		return nil, err
	}
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, err)
	}
	return content.Verify(f, d), nil
}

// Exists says whether a blob of that digest and size is there.
func (l *Layout) Exists(_ context.Context, d image.Descriptor) (bool, error) {
	path, err := l.blob(d)
	if err != nil {
		return false, err
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && st.Mode().IsRegular() && st.Size() == d.Size, err
}

// Push stores a blob.
func (l *Layout) Push(ctx context.Context, d image.Descriptor, r io.Reader) error {
	if ok, err := l.Exists(ctx, d); ok || err != nil {
		return err
	}
	path, err := l.blob(d)
	if err != nil {
		return err
	}
	if err := l.write(path, content.Verified(r, d)); err != nil {
		return fmt.Errorf("write blob %s: %w", d.Digest, err)
	}
	return nil
}

// write copies r to a new file that is at path when it is whole.
func (l *Layout) write(path string, r io.Reader) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(l.dir, ".ingest-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = io.Copy(f, r)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (l *Layout) blob(d image.Descriptor) (string, error) {
	if err := image.CheckDescriptor(d); err != nil {
		return "", fmt.Errorf("OCI layout %s: %w", l.dir, err)
	}
	return filepath.Join(l.dir, filepath.FromSlash(ocilayout.BlobPath(d.Digest))), nil
}

// open opens a regular file: a pipe in a layout must not stop us.
func open(path string) (*os.File, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errs.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file: %w", path, errs.ErrInvalid)
	}
	return os.Open(path)
}

// readFile reads a small file.
func readFile(path string) ([]byte, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, image.MaxMetadata+1))
	if err == nil && len(raw) > image.MaxMetadata {
		err = fmt.Errorf("%s: more than %d bytes: %w", path, image.MaxMetadata, errs.ErrTooLarge)
	}
	return raw, err
}
