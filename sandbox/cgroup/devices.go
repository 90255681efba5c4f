//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A device is a character device that may be opened; minor -1 is any.
type device struct{ major, minor int32 }

// devices are runc's default: null, full, zero, random, urandom, tty, ptmx and
// the pseudo-terminals. Making nodes of any device is allowed.
var devices = []device{{1, 3}, {1, 7}, {1, 5}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, -1}}

// rulesV1 are the same for the devices controller of v1.
func rulesV1() []setting {
	s := []setting{
		{"devices", "devices.deny", "a"},
		{"devices", "devices.allow", "c *:* m"},
		{"devices", "devices.allow", "b *:* m"},
	}
	for _, d := range devices {
		minor := "*"
		if d.minor >= 0 {
			minor = fmt.Sprint(d.minor)
		}
		s = append(s, setting{"devices", "devices.allow", fmt.Sprintf("c %d:%s rwm", d.major, minor)})
	}
	return s
}

// insn is struct bpf_insn.
type insn struct {
	op   uint8
	regs uint8 // dst, src<<4
	off  int16
	imm  int32
}

// Operation codes of eBPF that the program needs (linux/bpf.h).
const (
	ldw  = unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W
	mov  = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_K
	movx = unix.BPF_ALU64 | unix.BPF_MOV | unix.BPF_X
	and  = unix.BPF_ALU64 | unix.BPF_AND | unix.BPF_K
	rsh  = unix.BPF_ALU64 | unix.BPF_RSH | unix.BPF_K
	jeq  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jne  = unix.BPF_JMP | unix.BPF_JNE | unix.BPF_K
	exit = unix.BPF_JMP | unix.BPF_EXIT
)

// program decides on struct bpf_cgroup_dev_ctx {access<<16|type, major, minor}.
func program() []insn {
	const mknod, char = 1, 2
	reg := func(dst, src uint8) uint8 { return dst | src<<4 }
	p := []insn{
		{ldw, reg(2, 1), 0, 0},
		{movx, reg(3, 2), 0, 0},
		{and, reg(3, 0), 0, 0xffff}, // type
		{rsh, reg(2, 0), 0, 16},     // access
		{ldw, reg(4, 1), 4, 0},
		{ldw, reg(5, 1), 8, 0},
		{jne, reg(2, 0), 2, mknod},
		{mov, reg(0, 0), 0, 1},
		{exit, 0, 0, 0},
		{jeq, reg(3, 0), 2, char},
		{mov, reg(0, 0), 0, 0},
		{exit, 0, 0, 0},
	}
	for _, d := range devices {
		if d.minor < 0 {
			p = append(p, insn{jne, reg(4, 0), 2, d.major})
		} else {
			p = append(p, insn{jne, reg(4, 0), 3, d.major}, insn{jne, reg(5, 0), 2, d.minor})
		}
		p = append(p, insn{mov, reg(0, 0), 0, 1}, insn{exit, 0, 0, 0})
	}
	return append(p, insn{mov, reg(0, 0), 0, 0}, insn{exit, 0, 0, 0})
}

// loadProgram gives the program to the kernel.
func loadProgram() (*os.File, error) {
	p := program()
	license := []byte("Apache-2.0\x00")
	attr := struct {
		progType, count uint32
		insns, license  uint64
		_               [96]byte
	}{
		progType: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(p)),
		insns: uint64(uintptr(unsafe.Pointer(&p[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0]))),
	}
	fd, _, e := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(p)
	runtime.KeepAlive(license)
	if e != 0 {
		return nil, fmt.Errorf("load device program: %w", e)
	}
	unix.CloseOnExec(int(fd))
	return os.NewFile(fd, "device program"), nil
}

// attachProgram makes prog decide for the group dir.
func attachProgram(dir, prog *os.File) error {
	attr := struct {
		target, prog, kind, flags uint32
		_                         [96]byte
	}{uint32(dir.Fd()), uint32(prog.Fd()), unix.BPF_CGROUP_DEVICE, unix.BPF_F_ALLOW_MULTI, [96]byte{}}
	_, _, e := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_ATTACH, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if e != 0 {
		return fmt.Errorf("attach device program: %w", e)
	}
	return nil
}
