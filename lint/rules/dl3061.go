package rules

import "github.com/mica-build/mica/lint"

var dl3061 = lint.Rule{
	Code: "DL3061", Level: lint.Error, Title: "an instruction in front of the first FROM",
	Check: func(p *lint.Pass) {
		for _, in := range p.Instructions {
			if in.Name == "FROM" {
				return
			}
			if in.Name != "ARG" {
				p.Report(in.Keyword.Range(), "%s stands before the first FROM, where only ARG may", in.Name)
			}
		}
	},
}
