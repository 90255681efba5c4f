package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
)

var dl1001 = lint.Rule{
	Code: "DL1001", Level: lint.Ignore, Title: "a comment silences rules",
	Check: func(p *lint.Pass) {
		for _, c := range p.Comments {
			if f := strings.Fields(c.Text.String()); len(f) > 1 && f[0] == "hadolint" && strings.Contains(c.Text.String(), "ignore") {
				p.Report(c.Text.Range(), "this comment silences rules; findings are to be mended, not hidden")
			}
		}
	},
}
