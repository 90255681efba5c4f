package rules

import "github.com/mica-build/mica/lint"

var dl3007 = lint.Rule{
	Code: "DL3007", Level: lint.Warning, Title: "a base image with the tag latest",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if b := parseBase(unquoted(s.Image)); s.From != nil && b.tag == "latest" && b.digest == "" {
				p.Report(s.Image.Range(), "latest is another image tomorrow; name a version")
			}
		}
	},
}
