package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3023 = lint.Rule{
	Code: "DL3023", Level: lint.Error, Title: "COPY --from its own stage",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			from, ok := in.Flag("from")
			if ok && in.Stage.Name != "" && strings.EqualFold(from, in.Stage.Name) && !stageNamed(p.File, from, in.Stage) {
				p.Report(flagRange(in, "from"), "COPY cannot copy from %s, the stage it stands in", from)
			}
		}, "COPY")
	},
}
