package layer

import (
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// fileID names an inode.
type fileID struct{ dev, ino uint64 }

func idOf(st *unix.Stat_t) fileID { return fileID{uint64(st.Dev), st.Ino} }

func isDir(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// IsWhiteout says whether an entry of a tree is overlayfs's mark of a deleted
// name, rather than a file.
func IsWhiteout(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// lstatat describes an entry of an open directory.
func lstatat(dir int, name string) (st unix.Stat_t, err error) {
	err = retry(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

// openat opens an entry of an open directory, never a symbolic link.
func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

const openDirFlags = unix.O_RDONLY | unix.O_DIRECTORY

// openTree opens the top directory of a tree, whose path is trusted.
func openTree(dir string) (int, error) {
	fd, err := unix.Open(dir, openDirFlags|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return fd, nil
}

// names lists an open directory in byte order.
func names(dir int) ([]string, error) {
	fd, err := openat(dir, ".", openDirFlags, 0) // has an offset of its own
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "")
	defer f.Close()
	list, err := f.Readdirnames(-1)
	slices.Sort(list)
	return list, err
}

func readlinkat(dir int, name string, size int64) (string, error) {
	for {
		buf := make([]byte, size+1)
		n, err := unix.Readlinkat(dir, name, buf)
		if err != nil {
			return "", err
		}
		if n < len(buf) {
			return string(buf[:n]), nil
		}
		size = size*2 + 256
	}
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
