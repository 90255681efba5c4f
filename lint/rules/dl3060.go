package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3060 = lint.Rule{
	Code: "DL3060", Level: lint.Info, Title: "yarn's cache stays in the layer",
	Check: onRuns("what yarn downloaded stays in this layer: end with yarn cache clean",
		func(p *lint.Pass, in *dockerfile.Instruction, s *shell.Script) *offence {
			c := cleanedAfter(s,
				func(c *shell.Command) bool { return c.Calls("yarn", "install") },
				func(c *shell.Command) bool { return c.Calls("yarn", "cache") && c.Has("clean") })
			if c == nil || keeps(in, ".cache/yarn") || !matters(p, in) {
				return nil
			}
			return &offence{at: c.Range}
		}),
}
