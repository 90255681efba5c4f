package rules

import "github.com/mica-build/mica/lint"

var dl3063 = lint.Rule{
	Code: "DL3063", Level: lint.Warning, Title: "a stage with a reserved name", Twin: "ReservedStageName",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if s.Name == "scratch" || s.Name == "context" {
				p.Report(s.From.Fields()[2].Range(), "%s means something else to the builder; give the stage another name", s.Name)
			}
		}
	},
}
