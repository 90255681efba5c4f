//go:build linux

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/layer"
)

// Fetch opens a blob. A layer that is kept only as a tree is written out as
// its uncompressed tar on the fly (the descriptor's digest is then a diffID).
func (s *Store) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	if err := image.CheckDescriptor(d); err != nil {
		return nil, fmt.Errorf("fetch blob: %w", err)
	}
	p, err := s.blobPath(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("fetch blob: %w", err)
	}
	f, err := os.Open(p)
	if err == nil {
		return &watcher{content.Verify(f, d), s, f, d}, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("fetch blob %s: %w", d.Digest, err)
	}
	var l Layer
	err = s.find(ctx, func() (pins []string, err error) {
		l, err = s.exactTree(d.Digest)
		return []string{pinLayer(l.ID)}, err
	})
	if errors.Is(err, unix.ENOSPC) && l.Dir != "" {
		err = nil // there is no room to pin it: should it be collected now, reading fails
	}
	if err != nil {
		return nil, fmt.Errorf("fetch blob %s: %w", d.Digest, err)
	}
	return content.Verify(streamLayer(ctx, l.Dir), d), nil
}

// A watcher notices that a blob which is read has been damaged, as by power loss
// or a bad disk, and removes it, so that it can be pushed again.
type watcher struct {
	io.ReadCloser
	store *Store
	f     *os.File
	d     image.Descriptor
}

func (w *watcher) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if errors.Is(err, errs.ErrDigest) {
		w.store.discardDamaged(w.f, w.d.Size)
	}
	return n, err
}

// discardDamaged removes the blob f, whose content is not what it should be. If
// its size is not the expected one either, it may be the caller who is wrong.
func (s *Store) discardDamaged(f *os.File, size int64) {
	st, err := f.Stat()
	if err != nil || st.Size() != size {
		return
	}
	// It may have been replaced meanwhile.
	if now, err := os.Stat(f.Name()); err == nil && os.SameFile(st, now) {
		_ = s.discard(f.Name())
	}
}

// streamLayer writes a layer tree as a tar that can be read while it is written.
func streamLayer(ctx context.Context, dir string) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(layer.Diff(ctx, w, dir, layer.DiffOptions{})) }()
	return r
}

// exactTree finds a layer tree whose tar has the digest diffID. Should the index
// have lost it, the layers themselves are asked.
func (s *Store) exactTree(diffID digest.Digest) (Layer, error) {
	x, err := s.lookUp(diffID, "")
	if err == nil && !x.Exact {
		err = errs.ErrNotFound
	}
	if !errors.Is(err, errs.ErrNotFound) {
		return x.layer(), err
	}
	all, err := s.allLayers()
	if err != nil {
		return Layer{}, err
	}
	for _, x := range all {
		if x.DiffID == diffID && x.Exact {
			return x.layer(), nil
		}
	}
	return Layer{}, errs.ErrNotFound
}

// allLayers reads what is known of every layer.
func (s *Store) allLayers() ([]indexed, error) {
	entries, err := os.ReadDir(s.path("layers"))
	if err != nil {
		return nil, err
	}
	var out []indexed
	for _, e := range entries {
		dir := s.path("layers", e.Name())
		m, err := readMeta(dir)
		if errors.Is(err, errs.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, indexed{m, LayerID(e.Name()), dir})
	}
	return out, nil
}

// Exists says whether a blob is there, or a layer tree that gives back its bytes,
// and pins it.
// A blob of another size than d's was damaged and does not count.
func (s *Store) Exists(ctx context.Context, d image.Descriptor) (bool, error) {
	if err := image.CheckDescriptor(d); err != nil {
		return false, fmt.Errorf("look for blob: %w", err)
	}
	err := s.find(ctx, func() ([]string, error) { return s.locate(d) })
	if errors.Is(err, errs.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for blob %s: %w", d.Digest, err)
	}
	return true, nil
}

// locate gives the pin of the blob, or tree, that d names.
func (s *Store) locate(d image.Descriptor) ([]string, error) {
	p, err := s.blobPath(d.Digest)
	if err != nil {
		return nil, err
	}
	st, err := os.Stat(p)
	if err == nil && st.Size() == d.Size {
		return []string{pinBlob(d.Digest)}, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	x, err := s.lookUp(d.Digest, "")
	if err != nil {
		return nil, err
	}
	if !x.Exact {
		return nil, errs.ErrNotFound
	}
	return []string{pinLayer(x.ID)}, nil
}

// Push stores the bytes of r as d.
func (s *Store) Push(ctx context.Context, d image.Descriptor, r io.Reader) error {
	have, err := s.Exists(ctx, d)
	if have {
		return nil
	}
	if err == nil {
		err = s.writeBlob(ctx, d, r)
	}
	if err != nil {
		return fmt.Errorf("store blob %s: %w", d.Digest, advise(err))
	}
	return nil
}

func (s *Store) writeBlob(ctx context.Context, d image.Descriptor, r io.Reader) error {
	tmp, err := s.temp(ctx)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(tmp, "blob-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = copyBlob(ctx, f, content.Verify(io.NopCloser(r), d))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	to, err := s.blobPath(d.Digest)
	if err != nil {
		return err
	}
	return s.publish(ctx, []string{pinBlob(d.Digest)}, func() error {
		return s.rename(f.Name(), to)
	})
}

func copyBlob(ctx context.Context, w io.Writer, r io.Reader) error {
	buf := make([]byte, 128<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// rename moves a finished object to its place, whose directory may not be there yet.
func (s *Store) rename(from, to string) error {
	err := fault.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		err = fault.Rename(from, to)
	}
	if err == nil {
		err = s.sync()
	}
	return err
}

// ReadBlob reads a manifest, index or config whole (at most image.MaxMetadata
// bytes, errs.ErrTooLarge otherwise) and verifies it.
func (s *Store) ReadBlob(ctx context.Context, d digest.Digest) ([]byte, error) {
	b, err := s.readBlob(d)
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, notFound(err))
	}
	return b, ctx.Err()
}

func (s *Store) readBlob(d digest.Digest) ([]byte, error) {
	p, err := s.blobPath(d)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > image.MaxMetadata {
		return nil, fmt.Errorf("%d bytes: %w", st.Size(), errs.ErrTooLarge)
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	if d.Algorithm().FromBytes(b) != d {
		s.discardDamaged(f, st.Size())
		return nil, fmt.Errorf("content has another digest, pull or build the image again: %w", errs.ErrDigest)
	}
	return b, nil
}

// WriteBlob stores data and describes it.
func (s *Store) WriteBlob(ctx context.Context, mediaType string, data []byte) (image.Descriptor, error) {
	d := image.NewDescriptor(mediaType, data)
	return d, s.Push(ctx, d, bytes.NewReader(data))
}

// blobPath is where the blob d is, or would be.
func (s *Store) blobPath(d digest.Digest) (string, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("digest %q: %w: %w", d, errs.ErrInvalid, err)
	}
	hex := d.Encoded()
	return s.path("blobs", string(d.Algorithm()), hex[:2], hex), nil
}

// A BlobWriter writes a blob whose digest is known only at its end.
type BlobWriter struct {
	store *Store
	f     *os.File
	sum   digest.Digester
	n     int64
}

// NewBlob begins a blob. It is gone when the process dies before Commit.
func (s *Store) NewBlob(ctx context.Context) (*BlobWriter, error) {
	tmp, err := s.temp(ctx)
	if err != nil {
		return nil, fmt.Errorf("new blob: %w", err)
	}
	f, err := os.CreateTemp(tmp, "blob-*")
	if err != nil {
		return nil, fmt.Errorf("new blob: %w", advise(err))
	}
	return &BlobWriter{store: s, f: f, sum: digest.SHA256.Digester()}, nil
}

// Write adds bytes.
func (w *BlobWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	_, _ = w.sum.Hash().Write(p[:n])
	w.n += int64(n)
	return n, err
}

// Commit makes what was written a blob of the store and describes it.
func (w *BlobWriter) Commit(ctx context.Context, mediaType string) (image.Descriptor, error) {
	d := image.Descriptor{MediaType: mediaType, Digest: w.sum.Digest(), Size: w.n}
	to, err := w.store.blobPath(d.Digest)
	if err == nil {
		err = w.store.publish(ctx, []string{pinBlob(d.Digest)}, func() error { return w.store.rename(w.f.Name(), to) })
	}
	if err != nil {
		return d, fmt.Errorf("store blob %s: %w", d.Digest, advise(err))
	}
	return d, nil
}

// Close ends the writing. What was not committed is gone.
func (w *BlobWriter) Close() error {
	err := w.f.Close()
	if rerr := os.Remove(w.f.Name()); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) && err == nil {
		err = rerr
	}
	return err
}
