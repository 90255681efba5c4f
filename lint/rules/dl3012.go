package rules

import "github.com/mica-build/mica/lint"

var dl3012 = lint.Rule{
	Code: "DL3012", Level: lint.Error, Title: "a second HEALTHCHECK in one stage", Twin: "MultipleInstructionsDisallowed",
	Check: func(p *lint.Pass) { repeated(p, "HEALTHCHECK") },
}

// repeated reports every instruction of a name but the first in each stage.
func repeated(p *lint.Pass, name string) {
	for _, s := range p.Stages {
		n := 0
		for _, in := range s.Instructions {
			if in.Name != name {
				continue
			}
			if n++; n > 1 {
				p.Report(in.Keyword.Range(), "this stage has %s already, and only the last one has effect", name)
			}
		}
	}
}
