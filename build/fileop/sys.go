//go:build linux

package fileop

import (
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
)

// openat is openat(2) with O_CLOEXEC, again when a signal interrupts it.
func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func readlinkat(dir int, name string) (string, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, buf)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(buf[:n]), nil
		}
	}
}

// openParent opens (O_PATH) the directory that holds the resolved path at; the
// root holds itself, as ".".
func openParent(root *os.File, at string) (*os.File, error) {
	dir := path.Dir(at)
	return safepath.Open(root, dir, unix.O_PATH|unix.O_DIRECTORY, 0)
}
