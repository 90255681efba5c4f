//go:build linux

package safepath

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// OpenRoot opens dir, which is trusted, as a root for the other functions.
func OpenRoot(dir string) (*os.File, error) {
	return os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// Open opens path inside root, following symbolic links. flags and mode are
// those of open(2); O_NOFOLLOW keeps it from following the last component.
// Opening a fifo or device blocks or acts as always: look with O_PATH first.
func Open(root *os.File, path string, flags int, mode uint32) (*os.File, error) {
	fd, err := open(root, path, flags, mode)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// OpenParent opens (O_PATH) the directory that holds path's last component,
// and gives that component, which may be missing and is not followed. Where
// path has none of its own (it is the root, or ends in . or ..) dir is the
// directory itself and base is ".".
func OpenParent(root *os.File, path string) (dir *os.File, base string, err error) {
	parent, base := split(path)
	fd, err := open(root, parent, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, "", &fs.PathError{Op: "open parent of", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), parent), base, nil
}

// split cuts path before its last component, or gives (path, ".").
func split(path string) (parent, base string) {
	trimmed := strings.TrimRight(path, "/")
	i := strings.LastIndexByte(trimmed, '/')
	switch base = trimmed[i+1:]; base {
	case "", ".", "..":
		return path, "."
	}
	return trimmed[:i+1], base
}

// open chooses between the kernel's resolution and our own.
func open(root *os.File, path string, flags int, mode uint32) (int, error) {
	defer runtime.KeepAlive(root)
	if path == "" {
		path = "."
	}
	if hasOpenat2() {
		fd, err := openat2(int(root.Fd()), path, flags, mode)
		if !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
	return walkOpen(int(root.Fd()), path, flags, mode)
}

// openat2 asks the kernel. EAGAIN says that renames disturbed it every time.
func openat2(root int, path string, flags int, mode uint32) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flags&unix.O_PATH == 0 {
		how.Flags |= unix.O_LARGEFILE
	}
	if flags&unix.O_CREAT != 0 || flags&unix.O_TMPFILE == unix.O_TMPFILE {
		how.Mode = uint64(mode)
	}
	for tries := 0; ; {
		fd, err := unix.Openat2(root, path, &how)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN && tries < 32:
			tries++
		default:
			return fd, err
		}
	}
}

// hasOpenat2 probes once: the call may be missing (ENOSYS) or be refused by a
// seccomp filter older than it (EPERM).
var hasOpenat2 = sync.OnceValue(func() bool {
	fd, err := unix.Openat2(unix.AT_FDCWD, ".", &unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
})
