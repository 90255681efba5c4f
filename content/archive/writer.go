package archive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ocilayout"
)

var (
	_ content.Pusher = (*Writer)(nil)
	_ content.Tagger = (*Writer)(nil)
)

// WriterOptions configure NewWriter and Write. The zero value writes both forms.
type WriterOptions struct {
	// OCIOnly leaves out what only docker before 25 needs: manifest.json and
	// repositories.
	OCIOnly bool
	// Platform chooses what manifest.json shows of an index; nil is the first
	// image the index lists.
	Platform *image.Platform
	// Progress hears of every blob that Write writes.
	Progress func(content.Event)
}

// A Writer writes an archive as a stream: blobs at once, names when it is
// closed. It is safe for concurrent use, but entries stand in the order of
// Push; Write makes that the same each time.
type Writer struct {
	o  WriterOptions
	mu sync.Mutex
	tw *tar.Writer
	// err is the error that ended the tar in the middle of an entry.
	err      error
	written  map[digest.Digest]int64
	metadata map[digest.Digest][]byte // manifests, indexes and configs written
	dirs     map[string]bool
	index    image.Index
}

// NewWriter begins an archive on w, which it does not close.
func NewWriter(w io.Writer, o WriterOptions) (*Writer, error) {
	a := &Writer{
		o: o, tw: tar.NewWriter(w), written: map[digest.Digest]int64{},
		metadata: map[digest.Digest][]byte{}, dirs: map[string]bool{},
	}
	a.index = image.Index{MediaType: image.MediaTypeIndex, Manifests: []image.Descriptor{}}
	a.index.SchemaVersion = 2
	if err := a.file(ocispec.ImageLayoutFile, ocilayout.Version()); err != nil {
		return nil, fmt.Errorf("write image archive: %w", err)
	}
	return a, nil
}

// Write writes whole images from src to w, in an order that depends on them alone.
func Write(ctx context.Context, w io.Writer, src content.Fetcher, images []Image, o WriterOptions) error {
	a, err := NewWriter(w, o)
	if err != nil {
		return err
	}
	for _, img := range images {
		// One at a time: then the order is that of the manifest.
		_, err := content.Copy(ctx, a, src, img.Target, content.CopyOptions{Concurrency: 1, Sparse: true, Progress: o.Progress})
		if err != nil {
			return err
		}
		names := img.Names
		if len(names) == 0 {
			names = []string{""}
		}
		for _, n := range names {
			if err := a.Tag(ctx, n, img.Target); err != nil {
				return err
			}
		}
	}
	return a.Close()
}

// Exists says whether the blob has been written.
func (a *Writer) Exists(_ context.Context, d image.Descriptor) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, ok := a.written[d.Digest]
	return ok, nil
}

// Push writes a blob. After an error in the middle of one the archive is spoiled.
func (a *Writer) Push(_ context.Context, d image.Descriptor, r io.Reader) error {
	if err := image.CheckDescriptor(d); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.written[d.Digest]; ok {
		return nil
	}
	if err := a.blob(d, content.Verified(r, d)); err != nil {
		return fmt.Errorf("write image archive: blob %s: %w", d.Digest, err)
	}
	return nil
}

func (a *Writer) blob(d image.Descriptor, r io.Reader) error {
	if a.err != nil {
		return a.err
	}
	var raw []byte
	if isMetadata(d.MediaType) {
		if d.Size > image.MaxMetadata {
			return fmt.Errorf("%d bytes of metadata: %w", d.Size, errs.ErrTooLarge)
		}
		var err error
		if raw, err = io.ReadAll(r); err != nil {
			return err
		}
	}
	for _, dir := range []string{ocispec.ImageBlobsDir + "/", ocispec.ImageBlobsDir + "/" + d.Digest.Algorithm().String() + "/"} {
		if err := a.dir(dir); err != nil {
			return err
		}
	}
	if raw != nil {
		a.metadata[d.Digest] = raw
		a.written[d.Digest] = d.Size
		return a.file(blobPath(d.Digest), raw)
	}
	a.err = a.header(blobPath(d.Digest), d.Size)
	if a.err == nil {
		_, a.err = io.Copy(a.tw, r)
	}
	if a.err == nil {
		a.written[d.Digest] = d.Size
	}
	return a.err
}

func isMetadata(mt string) bool {
	return image.IsManifest(mt) || image.IsIndex(mt) || mt == image.MediaTypeConfig || mt == image.DockerConfig
}

// Tag lists d, which must have been written, under name, a reference or a bare
// tag; "" lists it without one.
func (a *Writer) Tag(_ context.Context, name string, d image.Descriptor) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.written[d.Digest]; !ok {
		return fmt.Errorf("write image archive: tag %q: %s: %w", name, d.Digest, errs.ErrNotFound)
	}
	ocilayout.Put(&a.index, name, d)
	return nil
}

// Close writes the names and ends the archive.
func (a *Writer) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return fmt.Errorf("write image archive: %w", a.err)
	}
	if err := a.finish(); err != nil {
		return fmt.Errorf("write image archive: %w", err)
	}
	return nil
}

func (a *Writer) finish() error {
	if err := a.marshal(ocispec.ImageIndexFile, a.index); err != nil {
		return err
	}
	if !a.o.OCIOnly {
		entries, repos, err := a.docker()
		if err != nil {
			return err
		}
		if err := a.marshal("manifest.json", entries); err != nil {
			return err
		}
		if len(repos) > 0 {
			if err := a.marshal("repositories", repos); err != nil {
				return err
			}
		}
	}
	a.err = errors.New("closed")
	return a.tw.Close()
}

func (a *Writer) marshal(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return a.file(name, raw)
}

func (a *Writer) file(name string, raw []byte) error {
	if a.err = a.header(name, int64(len(raw))); a.err == nil {
		_, a.err = a.tw.Write(raw)
	}
	return a.err
}

func (a *Writer) header(name string, size int64) error {
	return a.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: epoch()})
}

func (a *Writer) dir(name string) error {
	if a.dirs[name] {
		return nil
	}
	a.dirs[name] = true
	a.err = a.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: epoch()})
	return a.err
}
