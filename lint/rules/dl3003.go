package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3003 = lint.Rule{
	Code: "DL3003", Level: lint.Warning, Title: "RUN changes directory with cd",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			for _, s := range p.Scripts(in) {
				if c := s.First(func(c *shell.Command) bool { return c.Is("cd") }); c != nil {
					p.Report(c.Range, "cd holds for this RUN only; WORKDIR says it for all that follows")
				}
			}
		}, "RUN")
	},
}
