package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/registry/server/storage"
)

var _ storage.Blobs = (*blobs)(nil)

type blobs struct {
	root string
	o    Options

	mu    sync.Mutex
	live  map[string]*upload // by id: what is known of uploads that began here
	large int                // large buffers that were made
	spare chan []byte        // those not in use
}

func newBlobs(root string, o Options) *blobs {
	return &blobs{root: root, o: o, live: map[string]*upload{}, spare: make(chan []byte, maxBuffers)}
}

func (b *blobs) path(d digest.Digest) string {
	hex := d.Encoded()
	return filepath.Join(b.root, "blobs", string(d.Algorithm()), hex[:2], hex)
}

// missing makes "no such file" errs.ErrNotFound.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", errs.ErrNotFound, err)
	}
	return err
}

// Open opens a blob.
func (b *blobs) Open(_ context.Context, d digest.Digest) (io.ReadSeekCloser, error) {
	f, err := os.Open(b.path(d))
	if err != nil {
		return nil, missing(err)
	}
	return f, nil
}

// Stat gives a blob's size.
func (b *blobs) Stat(_ context.Context, d digest.Digest) (int64, error) {
	st, err := os.Stat(b.path(d))
	if err != nil {
		return 0, missing(err)
	}
	return st.Size(), nil
}

// Each lists blobs.
func (b *blobs) Each(ctx context.Context, f func(storage.Stored) error) error {
	root := filepath.Join(b.root, "blobs")
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		d := digest.Digest(filepath.Base(filepath.Dir(filepath.Dir(path))) + ":" + e.Name())
		st, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || d.Validate() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		return f(storage.Stored{Digest: d, Size: st.Size(), Modified: st.ModTime()})
	})
}

// Remove deletes a blob: it goes to the trash, which Expire empties.
func (b *blobs) Remove(_ context.Context, d digest.Digest) error {
	err := fault.Rename(b.path(d), filepath.Join(b.root, "trash", string(d.Algorithm())+"-"+d.Encoded()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Quarantine takes a blob away.
func (b *blobs) Quarantine(_ context.Context, d digest.Digest) error {
	err := fault.Rename(b.path(d), filepath.Join(b.root, "damaged", string(d.Algorithm())+"-"+d.Encoded()))
	return missing(err)
}

// Expire forgets uploads and empties the trash.
func (b *blobs) Expire(ctx context.Context, before time.Time, dry bool) (storage.Expired, error) {
	var e storage.Expired
	dir := filepath.Join(b.root, "uploads")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return e, err
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return e, err
		}
		size, err := b.expire(filepath.Join(dir, entry.Name()), before, dry)
		if err != nil {
			return e, err
		}
		if size >= 0 {
			e.Uploads++
			e.Bytes += size
		}
	}
	if dry {
		return e, nil
	}
	err = b.emptyTrash(ctx)
	sweepMarks(b.root, before)
	keepReserve(b.root)
	return e, err
}

// expire removes one upload if nobody is at it; it gives its size or -1.
func (b *blobs) expire(path string, before time.Time, dry bool) (int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.ModTime().Before(before) {
		return -1, err
	}
	if err := claim(f); err != nil {
		return -1, nil // somebody is at it
	}
	if dry {
		return st.Size(), nil
	}
	b.forget(filepath.Base(path))
	return st.Size(), fault.Remove(path)
}

func (b *blobs) emptyTrash(ctx context.Context) error {
	dir := filepath.Join(b.root, "trash")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fault.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
