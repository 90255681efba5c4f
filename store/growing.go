//go:build linux

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/internal/lockfile"
)

// A Growing is a blob that is being made here, so that its digest is not known yet. It
// can be read while it grows, and what was made of it outlives the process, with a mark
// that says how to go on. One goroutine of one process at a time makes it; any number
// may read.
type Growing struct {
	store *Store
	lock  *lockfile.Lock
	mark  []byte
	sum   hash.Hash

	mu      sync.Mutex
	n       int64
	whole   image.Descriptor // once it has been committed
	err     error            // why it does not grow any more
	changed chan struct{}    // closed when one of them changes
}

// Grow begins to make the blob called name (a file name), or goes on with it: Mark says
// what was kept, and Keep must be called before the first Write. It waits for whoever
// is making it now.
func (s *Store) Grow(ctx context.Context, name string) (*Growing, error) {
	g, err := s.grow(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("make blob %s: %w", name, advise(err))
	}
	return g, nil
}

func (s *Store) grow(ctx context.Context, name string) (*Growing, error) {
	if name != filepath.Base(name) {
		return nil, errs.ErrInvalid
	}
	path := s.path("incoming", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	lock, err := lockfile.Acquire(ctx, path, lockfile.Exclusive)
	if err != nil {
		return nil, err
	}
	g := &Growing{store: s, lock: lock, sum: digest.SHA256.Hash(), changed: make(chan struct{})}
	raw, err := os.ReadFile(g.markPath())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, lock.Release())
	}
	// What a machine that lost power had not written down may be zeros.
	if boot, mark, ok := bytes.Cut(raw, []byte("\n")); ok && string(boot) == bootID() {
		g.mark = mark
	}
	return g, nil
}

func (g *Growing) markPath() string { return g.lock.File().Name() + ".mark" }

// bootID names the time since the machine was started; "" is one that has no name.
func bootID() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}

// Mark is what SetMark kept last; nil if there is nothing to go on with.
func (g *Growing) Mark() []byte { return g.mark }

// SetMark keeps a note on how to go on.
func (g *Growing) SetMark(ctx context.Context, mark []byte) error {
	return g.store.replace(ctx, g.markPath(), append([]byte(bootID()+"\n"), mark...))
}

// Keep goes on after the first n bytes of what was kept. There being fewer is
// errs.ErrInvalid.
func (g *Growing) Keep(n int64) error {
	f := g.lock.File()
	if st, err := f.Stat(); err != nil || st.Size() < n {
		return errors.Join(err, fmt.Errorf("keep %d bytes of a blob: %w", n, errs.ErrInvalid))
	}
	if err := f.Truncate(n); err != nil {
		return err
	}
	g.sum.Reset()
	if _, err := io.Copy(g.sum, io.NewSectionReader(f, 0, n)); err != nil {
		return err
	}
	if _, err := f.Seek(n, io.SeekStart); err != nil {
		return err
	}
	g.tell(func() { g.n = n })
	return nil
}

// Write adds bytes.
func (g *Growing) Write(p []byte) (int, error) {
	n, err := g.lock.File().Write(p)
	_, _ = g.sum.Write(p[:n])
	g.tell(func() { g.n += int64(n) })
	return n, err
}

// ReadAt reads what was written.
func (g *Growing) ReadAt(p []byte, off int64) (int, error) { return g.lock.File().ReadAt(p, off) }

// tell changes the state and wakes those who wait.
func (g *Growing) tell(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	close(g.changed)
	g.changed = make(chan struct{})
}

// Wait waits until there are n bytes, or all. It says how many there are and, once they
// are all, describes the blob; before that the description is zero.
func (g *Growing) Wait(ctx context.Context, n int64) (int64, image.Descriptor, error) {
	for {
		g.mu.Lock()
		have, whole, err, changed := g.n, g.whole, g.err, g.changed
		g.mu.Unlock()
		if err != nil || have >= n || whole.Digest != "" {
			return have, whole, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, whole, context.Cause(ctx)
		}
	}
}

// Commit makes what was written a blob of the store and describes it.
func (g *Growing) Commit(ctx context.Context, mediaType string) (image.Descriptor, error) {
	d := image.Descriptor{MediaType: mediaType, Digest: digest.NewDigest(digest.SHA256, g.sum), Size: g.n}
	to, err := g.store.blobPath(d.Digest)
	if err == nil && g.store.options.Durable {
		err = g.lock.File().Sync()
	}
	if err == nil {
		err = g.store.publish(ctx, []string{pinBlob(d.Digest)}, func() error {
			return g.store.rename(g.lock.File().Name(), to)
		})
	}
	if err != nil {
		return d, fmt.Errorf("store blob %s: %w", d.Digest, advise(err))
	}
	_ = fault.Remove(g.markPath()) // it is collected in time
	g.tell(func() { g.whole = d })
	return d, nil
}

// Fail makes those fail who wait for bytes that will not come.
func (g *Growing) Fail(err error) { g.tell(func() { g.err = err }) }

// Close lets go of the blob. What was made of it, if it was not committed, stays for a
// day at least. There must be no more readers.
func (g *Growing) Close() error {
	g.Fail(fs.ErrClosed)
	return g.lock.Release()
}
