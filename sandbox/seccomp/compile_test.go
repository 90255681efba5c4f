//go:build linux

package seccomp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// dockerCaps are the capabilities of a RUN step.
var dockerCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// A vm runs a filter as the kernel would. Package bpf reads big endian.
type vm struct{ *bpf.VM }

func newVM(t testing.TB, f Filter) vm {
	t.Helper()
	prog, ok := bpf.Disassemble(f)
	if !ok {
		t.Fatal("filter has instructions that nobody knows")
	}
	m, err := bpf.NewVM(prog)
	if err != nil {
		t.Fatal(err)
	}
	return vm{m}
}

func (m vm) run(t testing.TB, audit, nr uint32, args [6]uint64) uint32 {
	t.Helper()
	b := binary.BigEndian.AppendUint32(nil, nr)
	b = binary.BigEndian.AppendUint32(b, audit)
	b = append(b, make([]byte, 8)...)
	for _, a := range args {
		b = binary.BigEndian.AppendUint32(b, uint32(a))
		b = binary.BigEndian.AppendUint32(b, uint32(a>>32))
	}
	// The machine's answer is what it would cut the packet to, and int.
	n, err := m.Run(b)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// expect reads the profile as its documentation says it is meant.
func expect(p *specs.LinuxSeccomp, name string, args [6]uint64) uint32 {
	result := uint32(retErrno | unix.EPERM)
	for _, r := range p.Syscalls {
		if !slices.Contains(r.Names, name) || !holds(r.Args, args) {
			continue
		}
		if r.Action == specs.ActAllow {
			return retAllow
		}
		result = retErrno | uint32(*r.ErrnoRet)
	}
	return result
}

func holds(conds []specs.LinuxSeccompArg, args [6]uint64) bool {
	for _, c := range conds {
		a := args[c.Index]
		ok := map[specs.LinuxSeccompOperator]bool{
			specs.OpEqualTo: a == c.Value, specs.OpNotEqual: a != c.Value, specs.OpLessThan: a < c.Value,
			specs.OpLessEqual: a <= c.Value, specs.OpGreaterThan: a > c.Value, specs.OpGreaterEqual: a >= c.Value,
			specs.OpMaskedEqual: a&c.Value == c.ValueTwo,
		}[c.Op]
		if !ok {
			return false
		}
	}
	return true
}

var argSamples = []uint64{
	0, 1, 8, 16, 37, 38, 39, 40, 41, 0x20000, 0x20008, 0xffffffff, 0x1_00000000, 0x1_00000027, 0xffffffff_ffffffff,
	0x7e020000, 0x00020000, 0x10000000, 0x01000000, 17, 0x1_00020000, 0x3d0f00,
}

func TestCompileFollowsProfile(t *testing.T) {
	all := append(slices.Clone(dockerCaps), "CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_BPF", "CAP_SYSLOG", "CAP_SYS_TIME")
	for _, caps := range [][]string{nil, dockerCaps, all} {
		p, err := Profile(caps)
		if err != nil {
			t.Fatal(err)
		}
		for _, archs := range [][]specs.Arch{
			{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
			{specs.ArchAARCH64, specs.ArchARM},
		} {
			p.Architectures = archs
			f, err := Compile(p)
			if err != nil {
				t.Fatal(err)
			}
			m := newVM(t, f)
			for _, a := range archs {
				t.Run(fmt.Sprintf("%d caps %s", len(caps), a), func(t *testing.T) { checkABI(t, p, m, abis[a]) })
			}
		}
	}
}

func checkABI(t *testing.T, p *specs.LinuxSeccomp, m vm, x abi) {
	names := map[uint32]string{}
	newest := uint32(0)
	for name, nr := range x.numbers() {
		names[nr] = name
		named := slices.ContainsFunc(p.Syscalls, func(s specs.LinuxSyscall) bool { return slices.Contains(s.Names, name) })
		if named && nr&^x.bit < armPrivate {
			newest = max(newest, nr)
		}
	}
	numbers := []uint32{armPrivate + 1 | x.bit, armPrivate + 2 | x.bit, armPrivate + 6 | x.bit, 0x3fffffff | x.bit}
	for i := range uint32(700) {
		numbers = append(numbers, i|x.bit)
	}
	for _, nr := range numbers {
		for _, v := range argSamples {
			args := [6]uint64{v, v, v, v, v, v}
			name, known := names[nr]
			want := expect(p, name, args)
			if nr > newest && (!known || want == retErrno|uint32(unix.EPERM)) {
				want = retErrno | uint32(unix.ENOSYS)
			}
			if x.audit == auditX8664 && x.bit == 0 && nr >= x32Bit {
				continue // belongs to x32
			}
			if got := m.run(t, x.audit, nr, args); got != want {
				t.Errorf("call %d (%s) with %#x: %#x, want %#x", nr, name, v, got, want)
			}
		}
	}
}

func TestUnlistedInterfaceIsKilled(t *testing.T) {
	f, err := Default(dockerCaps)
	if err != nil {
		t.Fatal(err)
	}
	if got := newVM(t, f).run(t, 0x12345678, 1, [6]uint64{}); got != retKillThread {
		t.Errorf("unknown architecture: %#x, want kill", got)
	}
}

func TestOperators(t *testing.T) {
	samples := []uint64{0, 1, 4, 5, 6, 0xffffffff, 5 << 32, 5<<32 | 5, 5<<32 | 6, 6 << 32, 1 << 63}
	for _, op := range []specs.LinuxSeccompOperator{
		specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpMaskedEqual,
	} {
		for _, v := range samples {
			conds := []specs.LinuxSeccompArg{{Index: 2, Op: op, Value: v, ValueTwo: v & 0x5_00000005}, {Index: 3, Op: specs.OpNotEqual, Value: 5}}
			p := &specs.LinuxSeccomp{
				DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86_64},
				Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActLog, Args: conds}},
			}
			f, err := Compile(p)
			if err != nil {
				t.Fatal(err)
			}
			m := newVM(t, f)
			for _, a := range samples {
				for _, b := range samples {
					args := [6]uint64{2: a, 3: b}
					want := uint32(retErrno | unix.EPERM)
					if holds(conds, args) {
						want = retLog
					}
					if got := m.run(t, auditX8664, 0, args); got != want {
						t.Fatalf("%s %#x of %#x, %#x: %#x, want %#x", op, v, a, b, got, want)
					}
				}
			}
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for name, p := range map[string]*specs.LinuxSeccomp{
		"architecture":   {DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchMIPS}},
		"default action": {DefaultAction: "SCMP_ACT_DANCE"},
		"action": {
			DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActNotify}},
		},
	} {
		if _, err := Compile(p); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestNumbers holds the generated tables against numbers that never change.
func TestNumbers(t *testing.T) {
	for arch, want := range map[specs.Arch]map[string]uint32{
		specs.ArchX86_64:  {"read": 0, "openat": 257, "clone3": 435, "cachestat": 451, "mseal": 462},
		specs.ArchX86:     {"read": 3, "socketcall": 102, "socket": 359, "_newselect": 142},
		specs.ArchX32:     {"read": x32Bit, "execve": x32Bit + 520, "pwritev2": x32Bit + 547, "openat": x32Bit + 257},
		specs.ArchAARCH64: {"read": 63, "openat": 56, "clone3": 435},
		specs.ArchARM:     {"read": 3, "openat": 322, "set_tls": 0xf0005},
	} {
		got := abis[arch].numbers()
		for name, nr := range want {
			if got[name] != nr {
				t.Errorf("%s %s: %d, want %d", arch, name, got[name], nr)
			}
		}
	}
	own := abis[specs.ArchX86_64].numbers()
	if own["read"] == unix.SYS_READ && own["seccomp"] != unix.SYS_SECCOMP {
		t.Errorf("seccomp: %d, want %d", own["seccomp"], unix.SYS_SECCOMP)
	}
}

// TestNames finds names of the profile that no table has: a typing error, or
// calls newer than the tables, which then need a newer golang.org/x/sys.
func TestNames(t *testing.T) {
	p, err := Profile(dockerCaps)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, x := range abis {
		for name := range x.numbers() {
			known[name] = true
		}
	}
	for _, r := range p.Syscalls {
		for _, name := range r.Names {
			if !known[name] && name != "riscv_hwprobe" { // which no interface here has
				t.Errorf("no table has %s", name)
			}
		}
	}
}

func BenchmarkDefault(b *testing.B) {
	for b.Loop() {
		f, err := Default(dockerCaps)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(f)), "instructions")
	}
}
