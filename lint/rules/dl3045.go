package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3045 = lint.Rule{
	Code: "DL3045", Level: lint.Warning, Title: "COPY to a relative path without WORKDIR",
	Check: func(p *lint.Pass) {
		has := map[*dockerfile.Stage]bool{}
		for _, s := range p.Stages {
			has[s] = s.Base != nil && has[s.Base]
			for _, in := range s.Instructions {
				if in.Name == "WORKDIR" {
					has[s] = true
				}
				if in.Name == "COPY" && !has[s] {
					relativeTarget(p, in)
				}
			}
		}
	},
}

func relativeTarget(p *lint.Pass, in *dockerfile.Instruction) {
	_, target := paths(in)
	if target == "" || isAbsolute(target) || strings.HasPrefix(target, "$") {
		return
	}
	p.Report(in.Args.Range(), "%s is relative to a directory that the base image decides; set WORKDIR, or begin it with /", target)
}
