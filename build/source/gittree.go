package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// mkdir makes a directory of mode 0755 whatever the umask.
func mkdir(path string) error {
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755)
}

// subtree finds a directory in a tree that nobody else changes, stepping only
// from directory to directory: a symbolic link on the way, which would lead out
// of the tree, is an error.
func subtree(tree, sub string) (string, error) {
	path := tree
	for name := range strings.SplitSeq(filepath.Clean(sub), "/") {
		if !filepath.IsLocal(name) {
			return "", fmt.Errorf("subdirectory %s: leads out of the tree: %w", sub, errs.ErrInvalid)
		}
		path = filepath.Join(path, name)
		fi, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("subdirectory %s: %w", sub, errs.ErrNotFound)
		case err != nil:
			return "", fmt.Errorf("subdirectory %s: %w", sub, err)
		case !fi.IsDir():
			return "", fmt.Errorf("subdirectory %s: %s is not a directory: %w", sub, name, errs.ErrInvalid)
		}
	}
	return path, nil
}

// moveTree moves what is in the directory from into dir, by rename where they
// are on the same filesystem.
func moveTree(from string, dir *os.File) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	names, err := src.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := unix.Renameat2(int(src.Fd()), name, int(dir.Fd()), name, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EINVAL) {
			err = copyTree(filepath.Join(from, name), dir, name)
		}
		if err != nil {
			return &os.PathError{Op: "move", Path: name, Err: err}
		}
	}
	return nil
}

// copyTree copies a file, link or directory to a free name in dir with its mode
// and time. Trees from git hold nothing else.
func copyTree(from string, dir *os.File, name string) error {
	fi, err := os.Lstat(from)
	if err != nil {
		return err
	}
	switch fi.Mode().Type() {
	case fs.ModeDir:
		if err := copyDir(from, dir, name); err != nil {
			return err
		}
	case fs.ModeSymlink:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		if err := unix.Symlinkat(target, int(dir.Fd()), name); err != nil {
			return err
		}
	case 0:
		if err := copyFile(from, fi.Mode().Perm(), dir, name); err != nil {
			return err
		}
	default:
		return fmt.Errorf("file type %v: %w", fi.Mode().Type(), errs.ErrUnsupported)
	}
	return setTimeAt(int(dir.Fd()), name, fi.ModTime())
}

func copyDir(from string, dir *os.File, name string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := unix.Mkdirat(int(dir.Fd()), name, 0o700); err != nil {
		return err
	}
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	to := os.NewFile(uintptr(fd), name)
	defer to.Close()
	for _, e := range entries {
		if err := copyTree(filepath.Join(from, e.Name()), to, e.Name()); err != nil {
			return &os.PathError{Op: "copy", Path: e.Name(), Err: err}
		}
	}
	return to.Chmod(0o755)
}

func copyFile(from string, mode fs.FileMode, dir *os.File, name string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	dst := os.NewFile(uintptr(fd), name)
	if _, err := io.Copy(dst, src); err != nil {
		dst.Close()
		return err
	}
	if err := dst.Chmod(mode); err != nil {
		dst.Close()
		return err
	}
	return dst.Close()
}

// setTimes gives everything in a tree the same time; directories last, after
// the last change in them.
func setTimes(tree string, t time.Time) error {
	entries, err := os.ReadDir(tree)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(tree, e.Name())
		if e.IsDir() {
			if err := setTimes(path, t); err != nil {
				return err
			}
			continue
		}
		if err := setTimeAt(unix.AT_FDCWD, path, t); err != nil {
			return err
		}
	}
	return setTimeAt(unix.AT_FDCWD, tree, t)
}

func setTimeAt(dirfd int, name string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err == nil {
		err = unix.UtimesNanoAt(dirfd, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return &os.PathError{Op: "set time of", Path: name, Err: err}
	}
	return nil
}

// setDirTime gives an open directory the time t.
func setDirTime(dir *os.File, t time.Time) error { return setTimeAt(int(dir.Fd()), ".", t) }
