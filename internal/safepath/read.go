//go:build linux

package safepath

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// Lstat describes path inside root; a symbolic link at its end is not followed.
func Lstat(root *os.File, path string) (unix.Stat_t, error) {
	return stat(root, path, "lstat", unix.O_NOFOLLOW)
}

// Stat describes path inside root, following symbolic links.
func Stat(root *os.File, path string) (unix.Stat_t, error) {
	return stat(root, path, "stat", 0)
}

func stat(root *os.File, path, op string, flags int) (st unix.Stat_t, err error) {
	fd, err := open(root, path, unix.O_PATH|flags, 0)
	if err == nil {
		err = unix.Fstat(fd, &st)
		unix.Close(fd)
	}
	if err != nil {
		return st, &fs.PathError{Op: op, Path: path, Err: err}
	}
	return st, nil
}

// Readlink gives the target, as written, of the symbolic link path inside root.
func Readlink(root *os.File, path string) (string, error) {
	fd, err := open(root, path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	var target string
	if err == nil {
		target, err = readlinkat(fd, "")
		unix.Close(fd)
		if err == unix.ENOENT { // what readlinkat(fd, "") says of anything else
			err = unix.EINVAL
		}
	}
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return target, nil
}

// OpenRegular opens the regular file path inside root for reading, following
// symbolic links. Anything else is errs.ErrInvalid and is not opened, which for
// a fifo blocks and for a device may do something: the host's devices have nodes
// in whatever tree cares to make one.
func OpenRegular(root *os.File, path string) (*os.File, error) {
	at, err := Open(root, path, unix.O_PATH, 0)
	if err != nil {
		return nil, err
	}
	defer at.Close()
	st, err := at.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file: %w", path, errs.ErrInvalid)
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", at.Fd()), unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// ReadFile reads the regular file path inside root, following symbolic links.
// Anything but a regular file is errs.ErrInvalid, more than limit bytes is
// errs.ErrTooLarge.
func ReadFile(root *os.File, path string, limit int64) ([]byte, error) {
	f, err := OpenRegular(root, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > limit {
		return nil, fmt.Errorf("read %s: %d bytes, limit %d: %w", path, st.Size(), limit, errs.ErrTooLarge)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: more than %d bytes: %w", path, limit, errs.ErrTooLarge)
	}
	return data, nil
}
