package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3050 = lint.Rule{
	Code: "DL3050", Level: lint.Info, Title: "a label that the schema does not know",
	Check: func(p *lint.Pass) {
		if !p.Settings.StrictLabels {
			return
		}
		p.Each(func(in *dockerfile.Instruction) {
			for _, kv := range in.Pairs() {
				if _, ok := p.Settings.Labels[kv.Key]; !ok {
					p.Report(kv.Text.Range(), "label %s is not in the schema", kv.Key)
				}
			}
		}, "LABEL")
	},
}
