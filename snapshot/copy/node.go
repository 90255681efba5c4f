//go:build linux

package copy

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/layer"
)

// A dir is an open directory. Names in it are reached as /proc/self/fd/N/name, so
// that no path gets too long and no symlink is followed on the way.
type dir struct {
	f *os.File
}

func openDir(path string) (dir, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return dir{}, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return dir{os.NewFile(uintptr(fd), path)}, nil
}

// at is the path of a name in d.
func (d dir) at(name string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(d.f.Fd())) + "/" + name
}

// self is the path of d.
func (d dir) self() string { return d.at(".") }

func (d dir) close() { d.f.Close() }

func (d dir) names() ([]string, error) { return d.f.Readdirnames(-1) }

// stat describes a name; exists is false if there is none.
func (d dir) stat(name string) (st unix.Stat_t, exists bool, err error) {
	err = unix.Lstat(d.at(name), &st)
	if errors.Is(err, unix.ENOENT) {
		return st, false, nil
	}
	if err != nil {
		return st, false, &fs.PathError{Op: "stat", Path: d.f.Name() + "/" + name, Err: err}
	}
	return st, true, nil
}

func isDir(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFDIR }

// opaqueNames are the attributes that mark an opaque directory: for root, and for
// others.
var opaqueNames = []string{"trusted.overlay.opaque", "user.overlay.opaque"}

func isOpaque(path string) bool {
	for _, name := range opaqueNames {
		var v [1]byte
		if n, err := unix.Lgetxattr(path, name, v[:]); err == nil && n == 1 && v[0] == 'y' {
			return true
		}
	}
	return false
}

// setOpaque marks a directory with the first attribute that may be set here.
func setOpaque(path string) error {
	var err error
	for _, name := range opaqueNames {
		if err = unix.Lsetxattr(path, name, []byte("y"), 0); err == nil {
			return nil
		}
	}
	return &fs.PathError{Op: "mark opaque", Path: path, Err: err}
}

// copyNode copies what is no directory, with its metadata.
func copyNode(from, to string, st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		if err := copyFile(from, to); err != nil {
			return err
		}
	case unix.S_IFLNK:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		if err := os.Symlink(target, to); err != nil {
			return err
		}
	default:
		if err := unix.Mknod(to, st.Mode&unix.S_IFMT|0o600, int(st.Rdev)); err != nil {
			return &fs.PathError{Op: "mknod", Path: to, Err: err}
		}
	}
	return copyMetadata(from, to, st)
}

func copyFile(from, to string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// copyMetadata gives to the owner, mode, attributes and times of from. The owner
// comes before the mode and the attributes, which it clears.
func copyMetadata(from, to string, st *unix.Stat_t) error {
	if err := os.Lchown(to, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(to, st.Mode&0o7777); err != nil {
			return &fs.PathError{Op: "chmod", Path: to, Err: err}
		}
	}
	if err := copyXattrs(from, to); err != nil {
		return err
	}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, to, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "set times", Path: to, Err: err}
	}
	return nil
}

// copyXattrs makes the attributes of to those of from, but for overlayfs's marks
// and those that belong to the machine.
func copyXattrs(from, to string) error {
	want, err := xattrs(from)
	if err != nil {
		return err
	}
	have, err := xattrs(to)
	if err != nil {
		return err
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			if err := unix.Lremovexattr(to, name); err != nil {
				return &fs.PathError{Op: "remove attribute " + name, Path: to, Err: err}
			}
		}
	}
	for name, v := range want {
		if err := unix.Lsetxattr(to, name, v, 0); err != nil {
			return &fs.PathError{Op: "set attribute " + name, Path: to, Err: err}
		}
	}
	return nil
}

func xattrs(path string) (map[string][]byte, error) {
	n, err := unix.Llistxattr(path, nil)
	if n == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "list attributes", Path: path, Err: err}
	}
	list := make([]byte, n)
	if n, err = unix.Llistxattr(path, list); err != nil {
		return nil, &fs.PathError{Op: "list attributes", Path: path, Err: err}
	}
	out := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimRight(string(list[:n]), "\x00"), "\x00") {
		if layer.IsMark(name) || name == "security.selinux" {
			continue
		}
		v := make([]byte, 64<<10) // the kernel's limit
		n, err := unix.Lgetxattr(path, name, v)
		if err != nil {
			return nil, &fs.PathError{Op: "read attribute " + name, Path: path, Err: err}
		}
		out[name] = v[:n]
	}
	return out, nil
}
