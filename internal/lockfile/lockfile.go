//go:build unix

package lockfile

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/fault"
)

// A Mode says whom a lock keeps out.
type Mode int

const (
	// Exclusive keeps everyone else out.
	Exclusive Mode = unix.LOCK_EX
	// Shared keeps exclusive locks out.
	Shared Mode = unix.LOCK_SH
)

// A Lock is a held lock.
type Lock struct {
	f      *os.File
	unlock func() error
}

// Acquire locks the file at path, which it makes if need be (but not its
// directory), and waits for the lock until ctx ends.
func Acquire(ctx context.Context, path string, m Mode) (*Lock, error) {
	for {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		if err := wait(ctx, f, m); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if current(f, path) {
			return &Lock{f, func() error { return flock(f, unix.LOCK_UN) }}, nil
		}
		f.Close()
	}
}

// Try is Acquire without waiting: a lock that is held by another is errs.ErrConflict.
func Try(path string, m Mode) (*Lock, error) {
	for {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		if err := flock(f, int(m)|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = errs.ErrConflict
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if current(f, path) {
			return &Lock{f, func() error { return flock(f, unix.LOCK_UN) }}, nil
		}
		f.Close()
	}
}

// File is the locked file, good until Release. It was opened for reading and writing where that is permitted.
func (l *Lock) File() *os.File { return l.f }

// Release gives the lock back.
func (l *Lock) Release() error {
	// Closing is not enough: a child that is between fork and exec shares the
	// open file description.
	err := l.unlock()
	if cerr := l.f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Remove deletes the file of an exclusive lock and gives the lock back.
// Those who wait for it go on with a new file.
func (l *Lock) Remove() error {
	err := fault.Remove(l.f.Name())
	if rerr := l.Release(); err == nil {
		err = rerr
	}
	return err
}

func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) {
		// flock needs no right to write.
		if ro, rerr := os.Open(path); rerr == nil {
			return ro, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}

// wait locks f or closes it.
func wait(ctx context.Context, f *os.File, m Mode) error {
	err := flock(f, int(m)|unix.LOCK_NB)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		f.Close()
		return err
	}
	return waitFor(ctx, f, func() error { return flock(f, int(m)) }, func() error { return flock(f, unix.LOCK_UN) })
}

// waitFor ends with a lock on f, or closes it. A wait that ctx ends goes on in
// its own goroutine until the lock is to be had, and lets go of it at once.
func waitFor(ctx context.Context, f *os.File, lock, unlock func() error) error {
	if err := ctx.Err(); err != nil {
		f.Close()
		return err
	}
	got := make(chan error, 1)
	go func() { got <- lock() }()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
		}
		return err
	case <-ctx.Done():
		go func() {
			if <-got == nil {
				_ = unlock()
			}
			f.Close()
		}()
		return context.Cause(ctx)
	}
}

// current says whether path still leads to f.
func current(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
