package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3021 = lint.Rule{
	Code: "DL3021", Level: lint.Error, Title: "COPY of several sources to what is no directory",
	Check: func(p *lint.Pass) {
		p.Deep(func(in *dockerfile.Instruction) {
			sources, target := paths(in)
			if len(sources) > 1 && !strings.HasSuffix(target, "/") {
				p.Report(in.Args.Range(), "COPY of %d sources needs a directory: write %s/", len(sources), target)
			}
		}, "COPY")
	},
}
