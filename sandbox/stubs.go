//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/internal/safepath"
)

// stubs are the files and directories made in a root as places for mounts.
type stubs struct {
	root *os.File
	made []stub // parents before children
}

// A stub is one of them, known by its directory and its inode.
type stub struct {
	dir  *os.File // O_PATH
	name string
	ino  uint64
	isD  bool
	keep bool
}

// add makes target, a file or a directory, with its missing parents, unless it
// is there. With keep it is left behind. The times of the directories around
// stay as they are.
func (s *stubs) add(target string, file, keep bool) error {
	// The root is made by nobody, and what is below these is not in it.
	target = path.Clean("/" + target)
	for _, p := range []string{"/proc", "/sys", "/dev"} {
		if strings.HasPrefix(target, p+"/") {
			return nil
		}
	}
	if err := s.make(target, file, keep, 40); err != nil {
		return fmt.Errorf("make mount point %s: %w", target, err)
	}
	return nil
}

func (s *stubs) make(target string, file, keep bool, depth int) error {
	if _, err := safepath.Stat(s.root, target); !errors.Is(err, fs.ErrNotExist) {
		return nil // there, or in a way of which the mount will complain
	}
	if depth == 0 {
		return unix.ELOOP
	}
	if link, err := safepath.Readlink(s.root, target); err == nil {
		// A dangling symbolic link: what it leads to is made.
		if !path.IsAbs(link) {
			link = path.Join(path.Dir(target), link)
		}
		return s.make(path.Clean(link), file, keep, depth-1)
	}
	if err := s.make(path.Dir(target), false, keep, depth-1); err != nil {
		return err
	}
	dir, name, err := safepath.OpenParent(s.root, target)
	if err != nil {
		return err
	}
	st := stub{dir: dir, name: name, isD: !file, keep: keep}
	if err := st.create(); err != nil {
		dir.Close()
		if errors.Is(err, unix.EEXIST) {
			return nil // another sandbox on this root was faster
		}
		return err
	}
	s.made = append(s.made, st)
	return nil
}

func (s *stub) create() error {
	dir := int(s.dir.Fd())
	return keepTimes(s.dir, func() error {
		if s.isD {
			if err := unix.Mkdirat(dir, s.name, 0o755); err != nil {
				return err
			}
			// Another sandbox on this root may have put a link in its place.
			fd, err := unix.Openat(dir, s.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			err = unix.Fchmod(fd, 0o755)
			unix.Close(fd)
			if err != nil {
				return err
			}
		} else {
			fd, err := unix.Openat(dir, s.name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
			if err != nil {
				return err
			}
			err = unix.Fchmod(fd, 0o644)
			unix.Close(fd)
			if err != nil {
				return err
			}
		}
		var st unix.Stat_t
		err := unix.Fstatat(dir, s.name, &st, unix.AT_SYMLINK_NOFOLLOW)
		s.ino = st.Ino
		return err
	})
}

// keepTimes puts the times of dir back after do.
func keepTimes(dir *os.File, do func() error) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	return unix.UtimesNanoAt(unix.AT_FDCWD, fdPath(dir), times, 0)
}

func fdPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// remove takes away what is still as it was made: the nearest first, so that a
// directory that got a file stays, with its parents.
func (s *stubs) remove() error {
	var first error
	for i := len(s.made) - 1; i >= 0; i-- {
		st := &s.made[i]
		if !st.keep {
			if err := st.remove(); err != nil && first == nil {
				first = fmt.Errorf("remove mount point %s: %w", st.name, err)
			}
		}
		st.dir.Close()
	}
	s.made = nil
	return first
}

func (s *stub) remove() error {
	dir := int(s.dir.Fd())
	var st unix.Stat_t
	if err := unix.Fstatat(dir, s.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil // the command removed it
	}
	isD := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if st.Ino != s.ino || isD != s.isD || (!isD && st.Size != 0) {
		return nil
	}
	flags := 0
	if isD {
		flags = unix.AT_REMOVEDIR
	}
	err := keepTimes(s.dir, func() error { return unix.Unlinkat(dir, s.name, flags) })
	if errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}
