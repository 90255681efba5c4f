//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// A standing is what this process may do.
type standing struct {
	// userns says that it has no privileges over the host: it makes no device
	// nodes, no bridge and no cgroups but those delegated to it.
	userns bool
	// single says that its user namespace knows one user only.
	single bool
}

var ownStanding = sync.OnceValue(func() standing {
	const initialUserInode = 0xEFFFFFFD // PROC_USER_INIT_INO
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/user", &st); err != nil || st.Ino == initialUserInode {
		return standing{}
	}
	m, err := os.ReadFile("/proc/self/uid_map")
	f := strings.Fields(string(m))
	return standing{userns: true, single: err == nil && len(f) == 3 && f[2] == "1"}
})

// stand finds out how the process can be given its user.
func (l *launch) stand() error {
	s := ownStanding()
	l.userns = s.userns || l.r.Rootless
	l.single = s.single || l.r.Rootless
	l.nested = l.r.Rootless || s.single && (l.id.uid != 0 || l.id.gid != 0)
	l.p.nested = l.nested
	l.config.Rootless, l.config.SingleID = l.userns, l.single
	return nil
}

// fillNested makes a user namespace in which the process's user and group are
// the caller. The namespace has no others.
func (l *launch) fillNested() (err error) {
	if l.config.RootPath, err = l.pathFor(l.s.Root); err != nil {
		return fmt.Errorf("root filesystem: %w", err)
	}
	fd, err := unix.FcntlInt(l.s.Root.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("root filesystem: %w", err)
	}
	l.root = os.NewFile(uintptr(fd), l.s.Root.Name())
	sys := l.attr.Sys
	sys.Cloneflags |= unix.CLONE_NEWUSER
	sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: int(l.id.uid), HostID: os.Geteuid(), Size: 1}}
	// A user other than root keeps its privileges over execve only so.
	for c := range bits.Len64(allCaps()) {
		sys.AmbientCaps = append(sys.AmbientCaps, uintptr(c))
	}
	sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: int(l.id.gid), HostID: os.Getegid(), Size: 1}}
	return nil
}

// pathFor is a path to f. What is mounted nowhere is mounted, in this process's
// own mount namespace, until the sandbox has taken it over: a new user namespace
// may bind only what it finds in its mount namespace.
func (l *launch) pathFor(f *os.File) (string, error) {
	path, err := pathOf(f)
	if !errors.Is(err, errs.ErrUnsupported) || l.r.Rootless {
		return path, err
	}
	tree, _, err := cloneTree(f, true)
	if err != nil {
		return "", err
	}
	defer tree.Close()
	dir, err := os.MkdirTemp("", "mica-mount-")
	if err != nil {
		return "", err
	}
	l.attached = append(l.attached, dir)
	if err := unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return "", fmt.Errorf("attach %s: %w", f.Name(), err)
	}
	return dir, nil
}

// detach takes down what pathFor mounted.
func (l *launch) detach() {
	for _, dir := range l.attached {
		unix.Unmount(dir, unix.MNT_DETACH)
		os.Remove(dir)
	}
	l.attached = nil
}
