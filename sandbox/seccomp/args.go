package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
)

// conditional is code that returns r's action when all its arguments match and
// otherwise runs no, which returns.
func conditional(r rule, no []bpf.RawInstruction) []bpf.RawInstruction {
	yes := []bpf.RawInstruction{ret(r.action)}
	for i := len(r.args) - 1; i >= 0; i-- {
		yes = compare(r.args[i], yes, no)
	}
	return yes
}

// compare tests a 64 bit argument, the high word first. The code in no is
// repeated; profiles have one or two short conditions a call.
func compare(a specs.LinuxSeccompArg, yes, no []bpf.RawInstruction) []bpf.RawInstruction {
	off := uint32(offArgs + 8*a.Index)
	lo, hi := off, off+4
	if bigEndian {
		lo, hi = hi, lo
	}
	vlo, vhi := uint32(a.Value), uint32(a.Value>>32)
	switch a.Op {
	case specs.OpNotEqual:
		return compare(specs.LinuxSeccompArg{Index: a.Index, Value: a.Value, Op: specs.OpEqualTo}, no, yes)
	case specs.OpLessThan:
		return compare(specs.LinuxSeccompArg{Index: a.Index, Value: a.Value, Op: specs.OpGreaterEqual}, no, yes)
	case specs.OpLessEqual:
		return compare(specs.LinuxSeccompArg{Index: a.Index, Value: a.Value, Op: specs.OpGreaterThan}, no, yes)
	case specs.OpMaskedEqual:
		low := block(branch(opJEq, uint32(a.ValueTwo), yes, no), load(lo), and(vlo))
		return block(branch(opJEq, uint32(a.ValueTwo>>32), low, no), load(hi), and(vhi))
	case specs.OpEqualTo:
		low := block(branch(opJEq, vlo, yes, no), load(lo))
		return block(branch(opJEq, vhi, low, no), load(hi))
	}
	op := uint16(opJGt)
	if a.Op == specs.OpGreaterEqual {
		op = opJGe
	}
	low := block(branch(op, vlo, yes, no), load(lo))
	equal := branch(opJEq, vhi, low, no)
	return block(branch(opJGt, vhi, yes, equal), load(hi))
}

// block puts head before body.
func block(body []bpf.RawInstruction, head ...bpf.RawInstruction) []bpf.RawInstruction {
	return append(head, body...)
}

// bigEndian is false on every architecture of the tables.
const bigEndian = false
