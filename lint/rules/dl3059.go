package rules

import (
	"slices"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3059 = lint.Rule{
	Code: "DL3059", Level: lint.Info, Title: "RUNs that could be one",
	Check: func(p *lint.Pass) {
		var before *dockerfile.Instruction
		for _, in := range p.Instructions {
			if in.Name != "RUN" {
				before = nil
				continue
			}
			if before != nil && sameFlags(before, in) && commands(p, before) < 2 && commands(p, in) < 2 &&
				len(in.Heredocs) == 0 && len(before.Heredocs) == 0 {
				p.Report(in.Keyword.Range(), "this RUN follows another: one RUN with && is one layer less")
			} else {
				before = in
			}
		}
	},
}

func commands(p *lint.Pass, in *dockerfile.Instruction) int {
	n := 0
	for _, s := range p.Scripts(in) {
		n += len(s.Commands)
	}
	return n
}

func sameFlags(a, b *dockerfile.Instruction) bool {
	key := func(in *dockerfile.Instruction) []string {
		var out []string
		for _, f := range in.Flags {
			out = append(out, f.Name+"="+f.Value)
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(key(a), key(b))
}
