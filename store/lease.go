//go:build linux

package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/internal/lockfile"
)

// A lease is a file in leases/ that is locked while its Store is open and lists
// what must not be collected, and a directory in tmp/ of the same name. It is made
// when first needed.
type lease struct {
	mu     sync.Mutex
	lock   *lockfile.Lock // nil before first use
	name   string
	pinned map[string]bool
	temp   bool // the directory is there
	closed bool
}

// A pin is one line of a lease.
func pinBlob(d digest.Digest) string { return "b " + string(d) }
func pinLayer(id LayerID) string     { return "l " + string(id) }

// collector takes gc.lock.
func (s *Store) collector(ctx context.Context, m lockfile.Mode) (*lockfile.Lock, error) {
	return lockfile.Acquire(ctx, s.path("gc.lock"), m)
}

// publish pins and then runs f, both while nothing is collected. f makes the
// pinned objects, or finds them, in which case its error undoes nothing: a pin
// of what is not there is harmless.
func (s *Store) publish(ctx context.Context, pins []string, f func() error) error {
	if err := s.ensureLease(ctx); err != nil {
		return err
	}
	gc, err := s.collector(ctx, lockfile.Shared)
	if err != nil {
		return err
	}
	defer gc.Release()
	if err := s.lease.add(pins); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return f()
}

// find runs f while nothing is collected and then pins what it names.
func (s *Store) find(ctx context.Context, f func() ([]string, error)) error {
	pins, err := f()
	if err != nil || s.lease.has(pins) {
		return err
	}
	err = s.publish(ctx, nil, func() error {
		pins, err := f()
		if err != nil {
			return err
		}
		return s.lease.add(pins)
	})
	if errors.Is(err, unix.EROFS) {
		return nil // a store on a read-only filesystem can be read, but keeps no leases
	}
	return err
}

// Pin keeps the blob d, and what it refers to if it is a manifest, an index or a
// config, from being collected until Close or Unpin. errs.ErrNotFound if it is not there.
func (s *Store) Pin(ctx context.Context, d digest.Digest) error {
	return s.find(ctx, func() ([]string, error) {
		p, err := s.blobPath(d)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(p); err != nil {
			return nil, fmt.Errorf("pin blob %s: %w", d, notFound(err))
		}
		return []string{pinBlob(d)}, nil
	})
}

// Unpin drops all pins made so far through this Store, for processes that live
// long. Call it when none of what it found or made is still to be used unless a
// name or record leads there. Drafts and temporary directories stay.
func (s *Store) Unpin(ctx context.Context) error {
	s.lease.mu.Lock()
	defer s.lease.mu.Unlock()
	if s.lease.lock == nil {
		return nil
	}
	gc, err := s.collector(ctx, lockfile.Shared)
	if err != nil {
		return fmt.Errorf("unpin: %w", err)
	}
	defer gc.Release()
	clear(s.lease.pinned)
	if err := fault.Truncate(s.lease.lock.File(), 0); err != nil {
		return fmt.Errorf("unpin: %w", err)
	}
	return nil
}

// ensureLease makes the lease if there is none yet. It is made under gc.lock, so
// that nobody takes it for a dead one before it is locked.
func (s *Store) ensureLease(ctx context.Context) error {
	l := &s.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return fmt.Errorf("store %s: %w", s.root, fs.ErrClosed)
	}
	if l.lock != nil {
		return nil
	}
	if err := s.newLease(ctx); err != nil {
		return fmt.Errorf("make lease: %w", advise(err))
	}
	s.removals.Go(s.tidy)
	return nil
}

func (s *Store) newLease(ctx context.Context) error {
	gc, err := s.collector(ctx, lockfile.Shared)
	if err != nil {
		return err
	}
	defer gc.Release()
	name := fmt.Sprintf("%d-%s", os.Getpid(), rand.Text())
	lock, err := lockfile.Try(s.path("leases", name), lockfile.Exclusive)
	if err != nil {
		return err
	}
	s.lease.lock, s.lease.name, s.lease.pinned = lock, name, map[string]bool{}
	return nil
}

// has says whether all pins are made already.
func (l *lease) has(pins []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range pins {
		if !l.pinned[p] {
			return false
		}
	}
	return true
}

// add appends pins to the lease file. The caller holds gc.lock.
func (l *lease) add(pins []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return fs.ErrClosed
	}
	var b strings.Builder
	for _, p := range pins {
		if !l.pinned[p] {
			// The newline comes first: it also ends a line that a full disk cut.
			b.WriteString("\n" + p)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	f := l.lock.File()
	end, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	if err := fault.WriteAt(f, []byte(b.String()), end); err != nil {
		return advise(err)
	}
	for _, p := range pins {
		l.pinned[p] = true
	}
	return nil
}

// close removes the lease and its temporaries.
func (l *lease) close(s *Store) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.lock == nil {
		return nil
	}
	err := removeAll(s.path("tmp", l.name))
	if rerr := l.lock.Remove(); err == nil {
		err = rerr
	}
	l.lock = nil
	return err
}

// temp is this lease's directory in tmp/.
func (s *Store) temp(ctx context.Context) (string, error) {
	if err := s.ensureLease(ctx); err != nil {
		return "", err
	}
	l := &s.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	dir := s.path("tmp", l.name)
	switch {
	case l.lock == nil:
		return "", fs.ErrClosed
	case l.temp:
		return dir, nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	l.temp = true
	return dir, nil
}

// leases gives the pins of all live leases and holds, and the names of dead leases.
// The caller holds gc.lock exclusively.
func (s *Store) leases() (pins []string, dead []string, err error) {
	entries, err := os.ReadDir(s.path("leases"))
	if err != nil {
		return nil, nil, err
	}
	alive := map[string]bool{}
	for _, e := range entries {
		path := s.path("leases", e.Name())
		lock, err := lockfile.Try(path, lockfile.Exclusive)
		if err == nil {
			dead = append(dead, e.Name())
			lock.Release()
			continue
		}
		if !errors.Is(err, errs.ErrConflict) {
			return nil, nil, err
		}
		alive[e.Name()] = true
		b, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		pins = append(pins, strings.Split(string(b), "\n")...)
	}
	held, err := s.holds()
	if err != nil {
		return nil, nil, err
	}
	pins = append(pins, held...)
	// Should a lease be lost by power loss, its temporaries are left.
	temps, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range temps {
		if _, err := os.Lstat(s.path("leases", e.Name())); errors.Is(err, fs.ErrNotExist) {
			dead = append(dead, e.Name())
		}
	}
	return pins, dead, nil
}

func notFound(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errs.ErrNotFound
	}
	return err
}
