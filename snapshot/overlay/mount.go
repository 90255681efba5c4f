//go:build linux

package overlay

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// errNoLowerAppend says that the kernel is older than 6.5, which brought lowerdir+.
var errNoLowerAppend = errors.New("fsconfig knows no lowerdir+")

// A stack is one overlay mount to be made. lower goes from bottom to top.
type stack struct {
	lower               []string
	upper, work         string
	volatile, userxattr bool
}

// settings are the mount options beside the directories, "key=value" or "flag".
//
// "nofollow" rather than "off": off would follow redirects where the kernel was
// built or started to do so, and a redirect in a foreign layer is not to be trusted.
func (s *stack) settings() []string {
	o := []string{"redirect_dir=nofollow", "metacopy=off", "index=off", "xino=off"}
	if s.volatile && s.upper != "" {
		o = append(o, "volatile")
	}
	if s.userxattr {
		o = append(o, "userxattr")
	}
	return o
}

// mount makes the mount with the file descriptor based API.
func (s *stack) mount() (*os.File, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen: %w", err)
	}
	defer unix.Close(fs)
	if err := s.configure(fs); err != nil {
		return nil, err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, logged(fs, "create", err)
	}
	attr := 0
	if s.upper == "" {
		attr = unix.MOUNT_ATTR_RDONLY
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return nil, logged(fs, "fsmount", err)
	}
	return os.NewFile(uintptr(fd), "overlay"), nil
}

func (s *stack) configure(fs int) error {
	for _, o := range s.settings() {
		var err error
		if k, v, ok := strings.Cut(o, "="); ok {
			err = unix.FsconfigSetString(fs, k, v)
		} else {
			err = unix.FsconfigSetFlag(fs, o)
		}
		if err != nil {
			return logged(fs, "set "+o, err)
		}
	}
	for i, dir := range slices.Backward(s.lower) {
		err := setDir(fs, "lowerdir+", dir)
		if i == len(s.lower)-1 && errors.Is(err, unix.EINVAL) {
			return errNoLowerAppend
		}
		if err != nil {
			return err
		}
	}
	if s.upper == "" {
		return nil
	}
	if err := setDir(fs, "upperdir", s.upper); err != nil {
		return err
	}
	return setDir(fs, "workdir", s.work)
}

// setDir sets key to dir, by way of an open descriptor: fsconfig takes no value
// longer than 255 bytes.
func setDir(fs int, key, dir string) error {
	f, err := openPath(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FsconfigSetString(fs, key, "/proc/self/fd/"+strconv.Itoa(int(f.Fd()))); err != nil {
		return logged(fs, "set "+key+" "+dir, err)
	}
	return nil
}

// logged joins err and what the kernel wrote to the filesystem context's log.
func logged(fs int, op string, err error) error {
	buf := make([]byte, 512)
	n, rerr := unix.Read(fs, buf)
	if rerr != nil || n <= 0 {
		return fmt.Errorf("%s: %w", op, err)
	}
	return fmt.Errorf("%s: %w (%s)", op, err, strings.TrimSpace(string(buf[:n])))
}
