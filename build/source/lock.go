package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A lock is an advisory lock on a file, held against other processes and other
// goroutines alike. The file stays: removing it would split its waiters.
type lock struct{ f *os.File }

// acquire waits for the lock on path: unix.LOCK_EX or unix.LOCK_SH.
func acquire(ctx context.Context, path string, how int) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	l := &lock{f}
	if err := l.turn(ctx, how); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return l, nil
}

// turn waits until the lock is held as how. From exclusive to shared it may
// pass through other hands.
func (l *lock) turn(ctx context.Context, how int) error {
	pause := time.Millisecond
	for {
		err := unix.Flock(int(l.f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}

func (l *lock) release() { l.f.Close() }
