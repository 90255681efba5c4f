package rules

import (
	"github.com/mica-build/mica/lint"
)

var dl3029 = lint.Rule{
	Code: "DL3029", Level: lint.Warning, Title: "FROM --platform with a constant", Twin: "FromPlatformFlagConstDisallowed",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if s.From == nil || s.Platform == "" || hasAny(s.Platform, "BUILDPLATFORM", "TARGETPLATFORM") {
				continue
			}
			p.Report(flagRange(s.From, "platform"), "this stage is for %s whatever the build is for; say it with build --platform", s.Platform)
		}
	},
}
