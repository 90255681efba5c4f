//go:build linux

package seccomp

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// Return values of a filter (linux/seccomp.h).
const (
	retKillProcess = 0x80000000
	retKillThread  = 0x00000000
	retTrap        = 0x00030000
	retErrno       = 0x00050000
	retTrace       = 0x7ff00000
	retLog         = 0x7ffc0000
	retAllow       = 0x7fff0000
)

// Compile turns a profile into a filter. Names that no table has are ignored,
// as every runtime does: the profile is newer then.
func Compile(p *specs.LinuxSeccomp) (Filter, error) {
	fallback, err := action(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return nil, err
	}
	sections := map[uint32][]segment{} // by audit value
	var order []uint32
	for _, a := range p.Architectures {
		x, err := findABI(a)
		if err != nil {
			return nil, err
		}
		segs, err := compileABI(p, x, fallback)
		if err != nil {
			return nil, err
		}
		if sections[x.audit] == nil {
			order = append(order, x.audit)
		}
		sections[x.audit] = append(sections[x.audit], segs...)
	}
	// A call of an interface that the profile does not list.
	prog := []bpf.RawInstruction{ret(retKillThread)}
	for _, audit := range slices.Backward(order) {
		segs := sections[audit]
		slices.SortFunc(segs, func(a, b segment) int { return int(int64(a.start) - int64(b.start)) })
		body := append([]bpf.RawInstruction{load(offNr)}, tree(merge(segs))...)
		prog = branch(opJEq, audit, body, prog)
	}
	prog = append([]bpf.RawInstruction{load(offArch)}, prog...)
	if len(prog) > maxLen {
		return nil, fmt.Errorf("seccomp filter of %d instructions: %w", len(prog), errs.ErrTooLarge)
	}
	return prog, nil
}

// action is the return value for a rule's action. An errno is EPERM unless given.
func action(a specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	data := uint32(unix.EPERM)
	if errno != nil {
		data = uint32(*errno) & 0xffff
	}
	switch a {
	case specs.ActAllow:
		return retAllow, nil
	case specs.ActErrno:
		return retErrno | data, nil
	case specs.ActTrace:
		return retTrace | data, nil
	case specs.ActLog:
		return retLog, nil
	case specs.ActTrap:
		return retTrap, nil
	case specs.ActKill, specs.ActKillThread:
		return retKillThread, nil
	case specs.ActKillProcess:
		return retKillProcess, nil
	}
	return 0, fmt.Errorf("seccomp action %s: %w", a, errs.ErrUnsupported)
}

// A rule is what the profile says of one call under one condition.
type rule struct {
	args   []specs.LinuxSeccompArg
	action uint32
}

// A segment is a range of call numbers, up to the next one, with one answer:
// a value, or code that computes it.
type segment struct {
	start uint32
	value uint32
	code  []bpf.RawInstruction
}

// compileABI gives the segments of one interface: they begin at its first
// possible number and go on for ever.
func compileABI(p *specs.LinuxSeccomp, x abi, fallback uint32) ([]segment, error) {
	rules, err := rulesOf(p, x)
	if err != nil {
		return nil, err
	}
	newest := x.bit
	for nr := range rules {
		if x.name != specs.ArchARM || nr < armPrivate {
			newest = max(newest, nr)
		}
	}
	numbers := make([]uint32, 0, len(rules))
	for nr := range rules {
		numbers = append(numbers, nr)
	}
	slices.Sort(numbers)
	segs := []segment{{start: x.bit, value: fallback}}
	for _, nr := range numbers {
		if nr > newest { // ARM's private calls
			continue
		}
		segs = append(segs, answer(nr, rules[nr], fallback), segment{start: nr + 1, value: fallback})
	}
	unknown := uint32(retErrno | unix.ENOSYS)
	if fallback == retAllow { // a profile that names what is forbidden
		unknown = fallback
	}
	segs = append(segs, segment{start: newest + 1, value: unknown})
	for _, nr := range numbers {
		if nr > newest {
			segs = append(segs, answer(nr, rules[nr], fallback), segment{start: nr + 1, value: unknown})
		}
	}
	return segs, nil
}

// rulesOf collects the rules by number.
func rulesOf(p *specs.LinuxSeccomp, x abi) (map[uint32][]rule, error) {
	numbers := x.numbers()
	rules := make(map[uint32][]rule, len(numbers))
	for _, call := range p.Syscalls {
		act, err := action(call.Action, call.ErrnoRet)
		if err != nil {
			return nil, err
		}
		for _, a := range call.Args {
			if err := checkArg(a); err != nil {
				return nil, err
			}
		}
		for _, name := range call.Names {
			if nr, ok := numbers[name]; ok {
				rules[nr] = append(rules[nr], rule{call.Args, act})
			}
		}
	}
	return rules, nil
}

func checkArg(a specs.LinuxSeccompArg) error {
	switch a.Op {
	case specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpMaskedEqual:
		if a.Index < 6 {
			return nil
		}
	}
	return fmt.Errorf("seccomp condition %s on argument %d: %w", a.Op, a.Index, errs.ErrUnsupported)
}

// answer gives the segment of one call. A rule without conditions holds
// whatever others say; several rules with conditions are tried in turn.
func answer(nr uint32, rules []rule, fallback uint32) segment {
	code := []bpf.RawInstruction{ret(fallback)}
	for _, r := range rules {
		if len(r.args) == 0 {
			return segment{start: nr, value: r.action}
		}
	}
	for _, r := range slices.Backward(rules) {
		code = conditional(r, code)
	}
	return segment{start: nr, code: code}
}

// merge drops a segment that says what the one before it says.
func merge(segs []segment) []segment {
	out := segs[:0:0]
	for i, s := range segs {
		if i+1 < len(segs) && segs[i+1].start == s.start {
			continue // empty
		}
		if n := len(out); n > 0 && out[n-1].code == nil && s.code == nil && out[n-1].value == s.value {
			continue
		}
		out = append(out, s)
	}
	return out
}

// tree is a binary search for the number in A.
func tree(segs []segment) []bpf.RawInstruction {
	if len(segs) == 1 {
		if segs[0].code != nil {
			return segs[0].code
		}
		return []bpf.RawInstruction{ret(segs[0].value)}
	}
	mid := len(segs) / 2
	return branch(opJGe, segs[mid].start, tree(segs[mid:]), tree(segs[:mid]))
}
