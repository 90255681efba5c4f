//go:build linux

package sandbox

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// readonlyExe is the running program, opened through a read-only mount of its
// own. A sandbox starts from it, so that a command that reaches its own
// executable by /proc/self/exe cannot write to the host's (CVE-2019-5736).
type readonlyExe struct {
	mu   sync.Mutex
	file *os.File
}

// open gives a descriptor of its own to each caller, who closes it.
func (e *readonlyExe) open() (*os.File, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.file == nil {
		f, err := openExe()
		if err != nil {
			return nil, err
		}
		e.file = f
	}
	fd, err := unix.FcntlInt(e.file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("open own executable: %w", err)
	}
	return os.NewFile(uintptr(fd), e.file.Name()), nil
}

func (e *readonlyExe) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.file == nil {
		return nil
	}
	err := e.file.Close()
	e.file = nil
	return err
}

func openExe() (*os.File, error) {
	const path = "/proc/self/exe"
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		unix.Close(fd)
	}
	// Without the privilege, or on Linux before 5.12: the file as it is. An
	// unprivileged user's sandbox gains nothing it has not outside.
	f, oerr := os.OpenFile(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if oerr != nil {
		return nil, fmt.Errorf("open own executable: %w", oerr)
	}
	return f, nil
}
