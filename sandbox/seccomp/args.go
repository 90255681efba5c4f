//go:build linux

package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
)

// Where a test goes on.
const (
	next = iota // to the instruction after it
	pass        // the argument matches
	fail        // it does not
)

// A test is an instruction; of a jump, t and f say where it goes.
type test struct {
	bpf.RawInstruction
	t, f int
}

// conditional is code that returns r's action when all its arguments match and
// otherwise runs no, which returns.
func conditional(r rule, no []bpf.RawInstruction) []bpf.RawInstruction {
	var parts [][]test
	size := 1 // the return
	for _, a := range r.args {
		p := compare(a)
		parts = append(parts, p)
		size += len(p)
	}
	out := make([]bpf.RawInstruction, 0, size+len(no))
	for _, p := range parts {
		end := len(out) + len(p) // where the next argument's test begins
		for _, i := range p {
			target := map[int]int{next: len(out) + 1, pass: end, fail: size}
			if i.t != i.f {
				i.Jt, i.Jf = uint8(target[i.t]-len(out)-1), uint8(target[i.f]-len(out)-1)
			}
			out = append(out, i.RawInstruction)
		}
	}
	return append(append(out, ret(r.action)), no...)
}

// compare tests a 64 bit argument, the high word first.
func compare(a specs.LinuxSeccompArg) []test {
	// Little endian, as every architecture of the tables is.
	off := uint32(offArgs + 8*a.Index)
	lo, hi := test{RawInstruction: load(off)}, test{RawInstruction: load(off + 4)}
	vlo, vhi := uint32(a.Value), uint32(a.Value>>32)
	switch a.Op {
	case specs.OpMaskedEqual:
		return []test{
			hi,
			{RawInstruction: and(vhi)},
			jump(opJEq, uint32(a.ValueTwo>>32), next, fail),
			lo,
			{RawInstruction: and(vlo)},
			jump(opJEq, uint32(a.ValueTwo), pass, fail),
		}
	case specs.OpEqualTo:
		return []test{hi, jump(opJEq, vhi, next, fail), lo, jump(opJEq, vlo, pass, fail)}
	case specs.OpNotEqual:
		return []test{hi, jump(opJEq, vhi, next, pass), lo, jump(opJEq, vlo, fail, pass)}
	case specs.OpGreaterThan:
		return []test{hi, jump(opJGt, vhi, pass, next), jump(opJEq, vhi, next, fail), lo, jump(opJGt, vlo, pass, fail)}
	case specs.OpGreaterEqual:
		return []test{hi, jump(opJGt, vhi, pass, next), jump(opJEq, vhi, next, fail), lo, jump(opJGe, vlo, pass, fail)}
	case specs.OpLessEqual:
		return []test{hi, jump(opJGt, vhi, fail, next), jump(opJEq, vhi, next, pass), lo, jump(opJGt, vlo, fail, pass)}
	default: // specs.OpLessThan
		return []test{hi, jump(opJGt, vhi, fail, next), jump(opJEq, vhi, next, pass), lo, jump(opJGe, vlo, fail, pass)}
	}
}

func jump(op uint16, k uint32, t, f int) test {
	return test{bpf.RawInstruction{Op: op, K: k}, t, f}
}
