package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl4001 = lint.Rule{
	Code: "DL4001", Level: lint.Warning, Title: "both wget and curl in one stage",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			seen := map[string]bool{}
			for _, in := range s.Instructions {
				bothTools(p, in, seen)
			}
		}
	},
}

// bothTools reports the first call in a RUN that makes the stage use both.
func bothTools(p *lint.Pass, in *dockerfile.Instruction, seen map[string]bool) {
	if in.Name == "ONBUILD" && in.Inner != nil {
		in = in.Inner
	}
	if in.Name != "RUN" {
		return
	}
	reported := false
	for _, script := range p.Scripts(in) {
		for _, c := range script.Commands {
			if !c.Is("wget", "curl") {
				continue
			}
			seen[c.Name] = true
			if len(seen) > 1 && !reported {
				p.Report(c.Range, "this stage uses both wget and curl: one of them is one package less")
				reported = true
			}
		}
	}
}
