package rules

import (
	"slices"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3067 = lint.Rule{
	Code: "DL3067", Level: lint.Warning, Title: "COPY of a whole other stage",
	Check: func(p *lint.Pass) {
		p.Deep(func(in *dockerfile.Instruction) {
			sources, target := paths(in)
			if _, ok := in.Flag("from"); ok && target == "/" && slices.Contains(sources, "/") {
				p.Report(in.Args.Range(), "this copies all of another file system over this one; copy what is needed, or begin with it in FROM")
			}
		}, "COPY")
	},
}
