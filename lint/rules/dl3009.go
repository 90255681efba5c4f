package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3009 = lint.Rule{
	Code: "DL3009", Level: lint.Info, Title: "package lists of apt stay in the layer",
	Check: onRuns("the package lists stay in this layer: end with rm -rf /var/lib/apt/lists/*",
		func(p *lint.Pass, in *dockerfile.Instruction, s *shell.Script) *offence {
			update := s.First(func(c *shell.Command) bool {
				return c.Is("apt", "apt-get", "aptitude") && c.Has("update")
			})
			cleanup := s.First(removesLists)
			if update == nil || cleanup != nil || !matters(p, in) || keeps(in, "/var/lib/apt/lists") ||
				keeps(in, "/var/lib/apt") && keeps(in, "/var/cache/apt") {
				return nil
			}
			return &offence{at: update.Range}
		}),
}

// removesLists says whether a command deletes apt's lists.
func removesLists(c *shell.Command) bool {
	return c.Is("rm") && c.Has("/var/lib/apt/lists/*", "/var/lib/apt/lists/", "/var/lib/apt/lists") &&
		c.Flag("r", "R", "recursive") > 0
}
