package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3036 = lint.Rule{
	Code: "DL3036", Level: lint.Warning, Title: "zypper's cache stays in the layer",
	Check: onRuns("what zypper downloaded stays in this layer: end with zypper clean",
		func(_ *lint.Pass, in *dockerfile.Instruction, s *shell.Script) *offence {
			c := cleanedAfter(s,
				func(c *shell.Command) bool { return c.Calls("zypper", "install", "in") },
				func(c *shell.Command) bool { return c.Calls("zypper", "clean", "cc") })
			if c == nil || keeps(in, "/var/cache/zypp") {
				return nil
			}
			return &offence{at: c.Range}
		}),
}
