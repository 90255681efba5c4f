//go:build linux

package safepath

import (
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// MkdirAll makes path and its missing parents inside root with exactly mode
// (no umask), and opens (O_PATH) the last. A symbolic link on the way is
// followed, and when it dangles its target is made. made, if not nil, is
// called with each new directory, opened for reading, to give it an owner or
// times; parents come before children.
func MkdirAll(root *os.File, path string, mode uint32, made func(dir *os.File) error) (*os.File, error) {
	fd, err := mkdirAll(root, path, mode, made)
	if err != nil {
		return nil, &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func mkdirAll(root *os.File, path string, mode uint32, made func(*os.File) error) (int, error) {
	defer runtime.KeepAlive(root)
	if hasOpenat2() {
		// The usual case is one call.
		if fd, err := open(root, path, unix.O_PATH|unix.O_DIRECTORY, 0); err != unix.ENOENT {
			return fd, err
		}
	}
	w := &walker{root: int(root.Fd())}
	w.mkdir = func(dir int, name string) error { return mkdirat(dir, name, mode, made) }
	defer w.close()
	if err := w.push(path); err != nil {
		return -1, err
	}
	for len(w.rest) > 0 {
		name, _ := w.next()
		if err := w.step(name); err != nil {
			return -1, err
		}
	}
	return openat(w.dir(), ".", unix.O_PATH|unix.O_DIRECTORY, 0)
}

// mkdirat makes one directory; losing a race to another maker is fine.
func mkdirat(dir int, name string, mode uint32, made func(*os.File) error) error {
	if err := unix.Mkdirat(dir, name, 0o700); err == unix.EEXIST {
		return nil
	} else if err != nil {
		return err
	}
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if made != nil {
		if err := made(f); err != nil {
			return err
		}
	}
	return unix.Fchmod(fd, mode)
}
