package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3040 = lint.Rule{
	Code: "DL3040", Level: lint.Warning, Title: "dnf's cache stays in the layer",
	Check: onRuns("what %s downloaded stays in this layer: end with %s clean all",
		func(_ *lint.Pass, in *dockerfile.Instruction, s *shell.Script) *offence {
			if keeps(in, "/var/cache/libdnf5") || keeps(in, ".cache/libdnf5") || keeps(in, "/var/cache/dnf") {
				return nil
			}
			for _, dnf := range []string{"dnf", "microdnf"} {
				c := cleanedAfter(s, func(c *shell.Command) bool {
					return c.Calls(dnf, "install", "in", "upgrade", "up", "upgrade-minimal", "up-min", "reinstall", "rei")
				}, func(c *shell.Command) bool {
					return c.Calls(dnf, "clean") || c.Is("rm") && c.HasPrefix("/var/cache/libdnf5") ||
						c.Is("rm") && c.HasPrefix("/var/cache/dnf") || c.Is("rm") && c.HasPrefix("/var/cache/yum")
				})
				if c != nil {
					return &offence{at: c.Range, what: dnf}
				}
			}
			return nil
		}),
}
