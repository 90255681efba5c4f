package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl4000 = lint.Rule{
	Code: "DL4000", Level: lint.Error, Title: "MAINTAINER is no longer used", Twin: "MaintainerDeprecated",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			name := strings.ReplaceAll(unquoted(in.Args), `"`, `\"`)
			fix := []lint.Edit{{Range: in.Range, Text: matchCase("LABEL", in.Keyword.String()) + ` org.opencontainers.image.authors="` + name + `"`}}
			p.Suggest(in.Keyword.Range(), fix, "MAINTAINER has gone: write LABEL org.opencontainers.image.authors=…")
		}, "MAINTAINER")
	},
}
