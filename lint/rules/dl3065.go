package rules

import "github.com/mica-build/mica/lint"

var dl3065 = lint.Rule{
	Code: "DL3065", Level: lint.Warning, Title: "FROM --platform says the default", Twin: "RedundantTargetPlatform",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if s.Platform == "$TARGETPLATFORM" || s.Platform == "${TARGETPLATFORM}" {
				p.Report(flagRange(s.From, "platform"), "the target platform is what FROM takes anyway; leave --platform out")
			}
		}
	},
}
