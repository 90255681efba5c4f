package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attacks tries what no step may do and prints what the kernel says to each.
func attacks() {
	name, _ := syscall.BytePtrFromString("/")
	text := uintptr(unsafe.Pointer(name))
	attr := make([]byte, 120) // of bpf(2), io_uring_setup(2) and perf_event_open(2)
	room := uintptr(unsafe.Pointer(&attr[0]))
	for _, c := range []struct {
		name string
		nr   uintptr
		args [6]uintptr
	}{
		{"bpf", unix.SYS_BPF, [6]uintptr{0, room, 120}},
		{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, [6]uintptr{room, 0, ^uintptr(0), ^uintptr(0)}},
		{"io_uring_setup", unix.SYS_IO_URING_SETUP, [6]uintptr{1, room}},
		{"userfaultfd", unix.SYS_USERFAULTFD, [6]uintptr{}},
		{"kexec_load", unix.SYS_KEXEC_LOAD, [6]uintptr{}},
		{"init_module", unix.SYS_INIT_MODULE, [6]uintptr{room, 120, text}},
		{"finit_module", unix.SYS_FINIT_MODULE, [6]uintptr{0, text}},
		{"delete_module", unix.SYS_DELETE_MODULE, [6]uintptr{text}},
		{"keyctl", unix.SYS_KEYCTL, [6]uintptr{}},
		{"add_key", unix.SYS_ADD_KEY, [6]uintptr{text, text, room, 1, ^uintptr(0)}},
		{"request_key", unix.SYS_REQUEST_KEY, [6]uintptr{text, text, 0, 0}},
		{"mount", unix.SYS_MOUNT, [6]uintptr{text, text, text, unix.MS_BIND, 0}},
		{"umount2", unix.SYS_UMOUNT2, [6]uintptr{text, 0}},
		{"open_tree", unix.SYS_OPEN_TREE, [6]uintptr{^uintptr(99), text, unix.OPEN_TREE_CLONE}},
		{"fsopen", unix.SYS_FSOPEN, [6]uintptr{text}},
		{"mount_setattr", unix.SYS_MOUNT_SETATTR, [6]uintptr{^uintptr(99), text, 0, room, 32}},
		{"pivot_root", unix.SYS_PIVOT_ROOT, [6]uintptr{text, text}},
		{"unshare user", unix.SYS_UNSHARE, [6]uintptr{unix.CLONE_NEWUSER}},
		{"unshare mount", unix.SYS_UNSHARE, [6]uintptr{unix.CLONE_NEWNS}},
		{"clone user", unix.SYS_CLONE, [6]uintptr{unix.CLONE_NEWUSER | uintptr(unix.SIGCHLD)}},
		{"clone3", unix.SYS_CLONE3, [6]uintptr{room, 88}},
		{"setns", unix.SYS_SETNS, [6]uintptr{0, 0}},
		{"open_by_handle_at", unix.SYS_OPEN_BY_HANDLE_AT, [6]uintptr{0, room, 0}},
		{"swapon", unix.SYS_SWAPON, [6]uintptr{text}},
		{"reboot", unix.SYS_REBOOT, [6]uintptr{}},
		{"settimeofday", unix.SYS_SETTIMEOFDAY, [6]uintptr{room, 0}},
		{"sethostname", unix.SYS_SETHOSTNAME, [6]uintptr{text, 1}},
		{"syslog", unix.SYS_SYSLOG, [6]uintptr{3, room, 120}},
		{"acct", unix.SYS_ACCT, [6]uintptr{text}},
		{"quotactl", unix.SYS_QUOTACTL, [6]uintptr{0, text}},
		{"ptrace host", unix.SYS_PTRACE, [6]uintptr{unix.PTRACE_ATTACH, uintptr(os.Getppid())}},
	} {
		_, _, e := syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		fmt.Printf("%s: %d\n", c.name, e)
	}
	writes()
}

// writes opens for writing, and opens devices.
func writes() {
	for _, p := range []string{
		"/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom",
		"/proc/irq/default_smp_affinity", "/proc/bus", "/proc/1/oom_score_adj", "/sys/kernel/uevent_helper", "/sys/kernel/mm/ksm/run",
		"/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/cgroup.procs", "/etc/resolv.conf", "/etc/hosts",
	} {
		f, err := os.OpenFile(p, os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		var no syscall.Errno
		errors.As(err, &no)
		fmt.Printf("write %s: %d\n", p, no)
	}
	for _, d := range []struct {
		name string
		kind uint32
		dev  uint64
	}{
		{"mem", unix.S_IFCHR, unix.Mkdev(1, 1)},
		{"kmsg", unix.S_IFCHR, unix.Mkdev(1, 11)},
		{"disk", unix.S_IFBLK, unix.Mkdev(8, 0)},
		{"virtual disk", unix.S_IFBLK, unix.Mkdev(254, 0)},
		{"loop", unix.S_IFBLK, unix.Mkdev(7, 0)},
		{"fuse", unix.S_IFCHR, unix.Mkdev(10, 229)},
	} {
		p := "/tmp/" + d.name
		err := unix.Mknod(p, d.kind|0o600, int(d.dev))
		if err == nil {
			var fd int
			if fd, err = unix.Open(p, unix.O_RDONLY|unix.O_NONBLOCK, 0); err == nil {
				unix.Close(fd)
			}
			os.Remove(p)
		}
		var no syscall.Errno
		errors.As(err, &no)
		fmt.Printf("device %s: %d\n", d.name, no)
	}
}
