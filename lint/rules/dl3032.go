package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3032 = lint.Rule{
	Code: "DL3032", Level: lint.Warning, Title: "yum's cache stays in the layer",
	Check: onRuns("what yum downloaded stays in this layer: end with yum clean all",
		func(_ *lint.Pass, in *dockerfile.Instruction, s *shell.Script) *offence {
			c := cleanedAfter(s,
				func(c *shell.Command) bool { return c.Calls("yum", "install") },
				func(c *shell.Command) bool {
					return c.Calls("yum", "clean") || c.Calls("rm", "/var/cache/yum/*", "/var/cache/yum")
				})
			if c == nil || keeps(in, "/var/cache/yum") {
				return nil
			}
			return &offence{at: c.Range}
		}),
}
