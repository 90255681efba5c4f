package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3057 = lint.Rule{
	Code: "DL3057", Level: lint.Ignore, Title: "no HEALTHCHECK",
	Check: func(p *lint.Pass) {
		good := map[*dockerfile.Stage]bool{}
		for _, s := range p.Stages {
			good[s] = s.Base != nil && good[s.Base]
			for _, in := range s.Instructions {
				good[s] = good[s] || in.Name == "HEALTHCHECK"
			}
		}
		// What stands below a stage with a check is only a part of it.
		for i := len(p.Stages) - 1; i >= 0; i-- {
			if s := p.Stages[i]; s.Base != nil && good[s] {
				good[s.Base] = true
			}
		}
		for _, s := range p.Stages {
			if s.From != nil && !good[s] {
				p.Report(s.From.Keyword.Range(), "nothing says how to tell whether the container is well: add HEALTHCHECK")
			}
		}
	},
}
