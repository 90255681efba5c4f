package checks

import "github.com/mica-build/mica/lint"

var noEmptyContinuation = lint.Rule{
	Code: "NoEmptyContinuation", Level: lint.Warning, Title: "an empty line within an instruction",
	Check: func(p *lint.Pass) {
		for i, r := range p.EmptyContinuations {
			if i > 0 && p.EmptyContinuations[i-1].Start.Line == r.Start.Line-1 {
				continue // one finding for several lines in a row
			}
			p.Report(r, "an empty line within an instruction will be an error: take it out, or write #")
		}
	},
}
