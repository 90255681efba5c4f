package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3019 = lint.Rule{
	Code: "DL3019", Level: lint.Info, Title: "apk keeps its index in the layer",
	Check: onRuns("the package index stays in this layer: add --no-cache, which makes --update and rm superfluous",
		func(_ *lint.Pass, in *dockerfile.Instruction, s *shell.Script) *offence {
			c := s.First(func(c *shell.Command) bool { return c.Calls("apk", "add") && c.Flag("no-cache") == 0 })
			if c == nil || keeps(in, "/var/cache/apk") || keeps(in, "/etc/apk/cache") {
				return nil
			}
			return &offence{at: c.Range, fix: addFlag("add", "--no-cache")(c)}
		}),
}
