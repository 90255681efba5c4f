package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
)

var dl3024 = lint.Rule{
	Code: "DL3024", Level: lint.Error, Title: "two stages have one name", Twin: "DuplicateStageName",
	Check: func(p *lint.Pass) {
		seen := map[string]bool{}
		for _, s := range p.Stages {
			if s.Name == "" {
				continue
			}
			if seen[strings.ToLower(s.Name)] {
				words := s.From.Fields()
				p.Report(words[2].Range(), "a stage before this is called %s too", s.Name)
			}
			seen[strings.ToLower(s.Name)] = true
		}
	},
}
