//go:build unix

package files

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/lockfile"
)

// A lock is held until released.
type lock = *lockfile.Lock

func lockExclusive(ctx context.Context, path string) (lock, error) {
	return lockfile.Acquire(ctx, path, lockfile.Exclusive)
}

func lockShared(ctx context.Context, path string) (lock, error) {
	return lockfile.Acquire(ctx, path, lockfile.Shared)
}

// claim locks an open file for as long as it is open, or is errs.ErrConflict.
func claim(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return errs.ErrConflict
		default:
			return err
		}
	}
}
