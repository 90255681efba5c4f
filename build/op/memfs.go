package op

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/layer"
)

// memfs is a small filesystem in memory that is mounted nowhere: secrets in it
// never touch a disk and are gone with the last file descriptor.
type memfs struct {
	root *os.File
	n    int
}

func newMemfs() (*memfs, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open tmpfs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "mode", "0755"); err != nil {
		return nil, fmt.Errorf("configure tmpfs: %w", err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("create tmpfs: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, fmt.Errorf("mount tmpfs: %w", err)
	}
	return &memfs{root: os.NewFile(uintptr(fd), "secrets")}, nil
}

// add makes a file and gives its name in the root.
func (m *memfs) add(data []byte, mode os.FileMode, uid, gid int) (string, error) {
	m.n++
	name := strconv.Itoa(m.n)
	fd, err := unix.Openat(int(m.root.Fd()), name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return "", fmt.Errorf("create secret file: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return "", err
	}
	// With a single user the file is whoever's the step runs as.
	if err := f.Chown(uid, gid); err != nil && !layer.SingleID() {
		return "", err
	}
	return name, f.Chmod(mode)
}

func (m *memfs) Close() error { return m.root.Close() }
