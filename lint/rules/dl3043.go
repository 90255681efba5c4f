package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3043 = lint.Rule{
	Code: "DL3043", Level: lint.Error, Title: "ONBUILD of what cannot be triggered",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			if in.Inner == nil {
				return
			}
			switch in.Inner.Name {
			case "ONBUILD", "FROM", "MAINTAINER":
				p.Report(in.Inner.Keyword.Range(), "ONBUILD cannot trigger %s", in.Inner.Name)
			}
		}, "ONBUILD")
	},
}
