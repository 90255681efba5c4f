//go:build linux

package seccomp

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mica-build/mica/errs"
)

//go:generate go run gen.go

// Values of seccomp_data.arch (linux/audit.h).
const (
	auditX8664   = 0xc000003e
	auditX86     = 0x40000003
	auditAARCH64 = 0xc00000b7
	auditARM     = 0x40000028
)

// x32Bit marks the calls of the x32 interface, which share x86-64's audit value.
const x32Bit = 0x40000000

// armPrivate is where ARM's private calls begin; they say nothing about how
// new the table is.
const armPrivate = 0x0f0000

// An abi is one calling interface: its name, its audit value and its numbers.
type abi struct {
	name    specs.Arch
	audit   uint32
	bit     uint32 // set in every number
	numbers func() map[string]uint32
}

var abis = map[specs.Arch]abi{
	specs.ArchX86_64:  {specs.ArchX86_64, auditX8664, 0, func() map[string]uint32 { return parseTable(numbersAMD64) }},
	specs.ArchX86:     {specs.ArchX86, auditX86, 0, func() map[string]uint32 { return parseTable(numbers386) }},
	specs.ArchX32:     {specs.ArchX32, auditX8664, x32Bit, x32Numbers},
	specs.ArchAARCH64: {specs.ArchAARCH64, auditAARCH64, 0, func() map[string]uint32 { return parseTable(numbersARM64) }},
	specs.ArchARM:     {specs.ArchARM, auditARM, 0, armNumbers},
}

func findABI(a specs.Arch) (abi, error) {
	x, ok := abis[a]
	if !ok {
		return abi{}, fmt.Errorf("seccomp architecture %s: %w", a, errs.ErrUnsupported)
	}
	return x, nil
}

// parseTable reads a generated table.
func parseTable(table string) map[string]uint32 {
	m := make(map[string]uint32, 480)
	for pair := range strings.FieldsSeq(table) {
		name, num, _ := strings.Cut(pair, "=")
		n, err := strconv.ParseUint(num, 10, 32)
		if err != nil {
			panic("seccomp: generated table: " + err.Error())
		}
		m[name] = uint32(n)
	}
	return m
}

// armNumbers adds the private calls, which are in no list of x/sys.
func armNumbers() map[string]uint32 {
	m := parseTable(numbersARM)
	for i, name := range []string{"breakpoint", "cacheflush", "usr26", "usr32", "set_tls"} {
		m[name] = armPrivate + 1 + uint32(i)
	}
	return m
}

// x32Own are the calls that have a number of their own in x32, from 512 on
// (arch/x86/entry/syscalls/syscall_64.tbl).
var x32Own = []string{
	"rt_sigaction", "rt_sigreturn", "ioctl", "readv", "writev", "recvfrom", "sendmsg", "recvmsg", "execve", "ptrace",
	"rt_sigpending", "rt_sigtimedwait", "rt_sigqueueinfo", "sigaltstack", "timer_create", "mq_notify", "kexec_load",
	"waitid", "set_robust_list", "get_robust_list", "vmsplice", "move_pages", "preadv", "pwritev",
	"rt_tgsigqueueinfo", "recvmmsg", "sendmmsg", "process_vm_readv", "process_vm_writev", "setsockopt",
	"getsockopt", "io_setup", "io_submit", "execveat", "preadv2", "pwritev2",
}

// x32Missing are calls of x86-64 that x32 does not have.
var x32Missing = []string{
	"_sysctl", "create_module", "epoll_ctl_old", "epoll_wait_old", "get_kernel_syms", "get_thread_area",
	"nfsservctl", "query_module", "set_thread_area", "uselib", "vserver", "uretprobe", "uprobe",
}

func x32Numbers() map[string]uint32 {
	m := parseTable(numbersAMD64)
	for _, name := range x32Missing {
		delete(m, name)
	}
	for i, name := range x32Own {
		m[name] = 512 + uint32(i)
	}
	for name, n := range m {
		m[name] = n | x32Bit
	}
	return m
}
