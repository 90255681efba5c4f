//go:build linux

package inside

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dropPrivileges loads the filter and takes on the user and capabilities of c.
// All calls concern the calling thread only.
func dropPrivileges(c *Config) error {
	if err := ownPipes(c); err != nil {
		return err
	}
	unix.Umask(0o022)
	if err := dropBounding(c.Caps); err != nil {
		return err
	}
	if c.NoNewPrivs {
		if err := prctl("set no_new_privs", unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
			return err
		}
	}
	if err := loadFilter(c.Seccomp); err != nil {
		return fmt.Errorf("load seccomp filter: %w", err)
	}
	if err := setUser(c); err != nil {
		return err
	}
	if err := setCaps(c); err != nil {
		return fmt.Errorf("set capabilities: %w", err)
	}
	// A change of user has cleared it.
	return prctl("set parent death signal", unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL))
}

// ownPipes gives the streams that are pipes to the user, so that it may open
// /dev/stdout. Who may not give them away leaves them.
func ownPipes(c *Config) error {
	if c.UID == 0 {
		return nil
	}
	for fd := range 3 {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO || st.Uid == c.UID {
			continue
		}
		if err := unix.Fchown(fd, int(c.UID), int(c.GID)); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("give stream %d to user %d: %w", fd, c.UID, err)
		}
	}
	return nil
}

func prctl(what string, args ...uintptr) error {
	var a [5]uintptr
	copy(a[:], args)
	if _, _, e := unix.RawSyscall6(unix.SYS_PRCTL, a[0], a[1], a[2], a[3], a[4], 0); e != 0 {
		return fmt.Errorf("%s: %w", what, e)
	}
	return nil
}

// dropBounding leaves keep of the bounding set.
func dropBounding(keep uint64) error {
	for i := range uintptr(64) {
		if keep&(1<<i) != 0 {
			continue
		}
		err := prctl(fmt.Sprintf("drop capability %d", i), unix.PR_CAPBSET_DROP, i)
		if errors.Is(err, unix.EINVAL) {
			return nil // the kernel knows no more
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func setUser(c *Config) error {
	if err := prctl("keep capabilities", unix.PR_SET_KEEPCAPS, 1); err != nil {
		return err
	}
	if !c.SingleID {
		var groups *uint32
		if len(c.Groups) > 0 {
			groups = &c.Groups[0]
		}
		if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(c.Groups)), uintptr(unsafe.Pointer(groups)), 0); e != 0 {
			return fmt.Errorf("set groups: %w", e)
		}
	}
	gid, uid := uintptr(c.GID), uintptr(c.UID)
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); e != 0 {
		return fmt.Errorf("set group id %d: %w", c.GID, e)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); e != 0 {
		return fmt.Errorf("set user id %d: %w", c.UID, e)
	}
	return prctl("keep no capabilities", unix.PR_SET_KEEPCAPS, 0)
}

// setCaps sets effective and permitted; inheritable and, with it, ambient
// become empty. For a user other than root execve clears the rest.
func setCaps(c *Config) error {
	caps := c.Caps
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var now [2]unix.CapUserData
	if err := unix.Capget(&hdr, &now[0]); err != nil {
		return err
	}
	// A host may hold less than the set itself.
	caps &= uint64(now[0].Permitted) | uint64(now[1].Permitted)<<32
	lo, hi := uint32(caps), uint32(caps>>32)
	data := [2]unix.CapUserData{{Effective: lo, Permitted: lo}, {Effective: hi, Permitted: hi}}
	return unix.Capset(&hdr, &data[0])
}

// loadFilter installs filter for this thread. SPEC_ALLOW keeps the kernel from
// slowing the process down against speculation attacks, as runc has it.
func loadFilter(filter []byte) error {
	if len(filter) == 0 {
		return nil
	}
	prog := unix.SockFprog{
		Len:    uint16(len(filter) / int(unsafe.Sizeof(unix.SockFilter{}))),
		Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0])),
	}
	for _, flags := range []uintptr{unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0} {
		_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		if e == 0 {
			return nil
		}
		if e != unix.EINVAL || flags == 0 {
			return e
		}
	}
	return nil
}

// setRlimits goes through package syscall, which otherwise puts the limit of
// open files back at execve.
func setRlimits(limits []Rlimit) error {
	for _, l := range limits {
		if err := syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: l.Cur, Max: l.Max}); err != nil {
			return fmt.Errorf("resource %d to %d:%d: %w", l.Resource, l.Cur, l.Max, err)
		}
	}
	return nil
}
