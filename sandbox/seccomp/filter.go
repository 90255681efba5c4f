//go:build linux

package seccomp

import (
	"encoding/binary"

	"golang.org/x/net/bpf"
)

// A Filter is a program for seccomp(2).
type Filter []bpf.RawInstruction

// maxLen is BPF_MAXINSNS.
const maxLen = 4096

// Bytes is the filter as an array of struct sock_filter in native byte order.
func (f Filter) Bytes() []byte {
	b := make([]byte, 0, 8*len(f))
	for _, i := range f {
		b = binary.NativeEndian.AppendUint16(b, i.Op)
		b = append(b, i.Jt, i.Jf)
		b = binary.NativeEndian.AppendUint32(b, i.K)
	}
	return b
}

// Operation codes (linux/bpf_common.h, linux/filter.h).
const (
	opLoad = 0x20 // A = data[k:k+4]
	opJA   = 0x05 // skip k
	opJEq  = 0x15 // A == k
	opJGt  = 0x25 // A > k
	opJGe  = 0x35 // A >= k
	opAnd  = 0x54 // A &= k
	opRet  = 0x06 // return k
)

// Offsets in struct seccomp_data.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

func load(off uint32) bpf.RawInstruction { return bpf.RawInstruction{Op: opLoad, K: off} }
func ret(action uint32) bpf.RawInstruction {
	return bpf.RawInstruction{Op: opRet, K: action}
}
func and(k uint32) bpf.RawInstruction { return bpf.RawInstruction{Op: opAnd, K: k} }

// branch tests A: when it holds, yes runs, otherwise no. Both must return.
func branch(op uint16, k uint32, yes, no []bpf.RawInstruction) []bpf.RawInstruction {
	out := make([]bpf.RawInstruction, 0, 2+len(yes)+len(no))
	if len(no) <= 255 {
		out = append(out, bpf.RawInstruction{Op: op, K: k, Jt: uint8(len(no))})
	} else {
		out = append(out, bpf.RawInstruction{Op: op, K: k, Jf: 1}, bpf.RawInstruction{Op: opJA, K: uint32(len(no))})
	}
	return append(append(out, no...), yes...)
}
