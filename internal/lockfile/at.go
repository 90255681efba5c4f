//go:build linux

package lockfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// At locks one byte of the file at path, which it makes if need be (but not its
// directory), and waits for the lock until ctx ends. The byte need not exist: one
// empty file serves any number of locks, and nothing is created or removed with
// each. They keep out each other, and not the locks of Acquire. The file must
// not be removed.
//
// Source: "Open file description locks" in fcntl(2).
func At(ctx context.Context, path string, offset int64) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	unlock := func() error { return lockByte(f, unix.F_OFD_SETLK, unix.F_UNLCK, offset) }
	err = lockByte(f, unix.F_OFD_SETLK, unix.F_WRLCK, offset)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		err = waitFor(ctx, f, func() error { return lockByte(f, unix.F_OFD_SETLKW, unix.F_WRLCK, offset) }, unlock)
	} else if err != nil {
		f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f, unlock}, nil
}

func lockByte(f *os.File, how, kind int, offset int64) error {
	for {
		err := unix.FcntlFlock(f.Fd(), how, &unix.Flock_t{Type: int16(kind), Whence: io.SeekStart, Start: offset, Len: 1})
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
