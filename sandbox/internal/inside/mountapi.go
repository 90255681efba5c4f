//go:build linux

package inside

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount attributes that most pseudo file systems share.
const (
	nosuid = unix.MOUNT_ATTR_NOSUID
	nodev  = unix.MOUNT_ATTR_NODEV
	noexec = unix.MOUNT_ATTR_NOEXEC
	rdonly = unix.MOUNT_ATTR_RDONLY
)

// newFS makes a detached mount of a file system. Options are "key=value" or "flag".
func newFS(fstype string, attr int, options ...string) (int, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("mount %s: %w", fstype, err)
	}
	defer unix.Close(fs)
	for _, o := range options {
		if k, v, ok := strings.Cut(o, "="); ok {
			err = unix.FsconfigSetString(fs, k, v)
		} else {
			err = unix.FsconfigSetFlag(fs, o)
		}
		if err != nil {
			return -1, fmt.Errorf("mount %s: option %s: %w", fstype, o, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, fmt.Errorf("mount %s: %w", fstype, err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return -1, fmt.Errorf("mount %s: %w", fstype, err)
	}
	return fd, nil
}

// attach mounts the detached mount fd over the open directory or file target.
func attach(fd, target int) error {
	err := unix.MoveMount(fd, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("attach mount: %w", err)
	}
	return nil
}

// attachAt is attach for a target directly below dir, which is trusted.
func attachAt(fd, dir int, name string) error {
	if err := unix.MoveMount(fd, "", dir, name, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fmt.Errorf("attach mount at %s: %w", name, err)
	}
	return nil
}

// cloneAt makes a detached bind mount of name below dir; "" is dir itself.
// A symbolic link is not followed.
func cloneAt(dir int, name string, recursive bool) (int, error) {
	flags := unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH | unix.AT_SYMLINK_NOFOLLOW
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(dir, name, uint(flags))
	if err != nil {
		return -1, fmt.Errorf("bind: %w", err)
	}
	return fd, nil
}

// setAttr adds attributes to the detached mount fd.
func setAttr(fd int, attr uint64, recursive bool) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	err := unix.MountSetattr(fd, "", flags, &unix.MountAttr{Attr_set: attr})
	if err == nil || !errors.Is(err, unix.ENOSYS) {
		return err
	}
	return errOldKernel
}

// errOldKernel says that the kernel is older than 5.12: a mount can then be
// changed only where it is attached.
var errOldKernel = errors.New("mount_setattr is not supported")

// remount is setAttr for an attached mount, known by an open path to its root.
// Linux before 5.12 needs it; it keeps the attributes that are there.
func remount(fd int, attr uint64) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	flags := uintptr(st.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_RDONLY | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME)
	for bit, ms := range map[uint64]uintptr{rdonly: unix.MS_RDONLY, nosuid: unix.MS_NOSUID, nodev: unix.MS_NODEV, noexec: unix.MS_NOEXEC} {
		if attr&bit != 0 {
			flags |= ms
		}
	}
	return unix.Mount("", "/proc/self/fd/"+strconv.Itoa(fd), "", flags|unix.MS_BIND|unix.MS_REMOUNT, "")
}

// lookup opens path (O_PATH) below dir, which it cannot leave.
func lookup(dir int, path string, flags uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for range 64 {
		fd, err := unix.Openat2(dir, path, &how)
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}
