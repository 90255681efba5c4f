package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3038 = lint.Rule{
	Code: "DL3038", Level: lint.Warning, Title: "dnf install would ask",
	Check: onCommands("%s asks before it installs, and nobody is there to answer: add -y", func(c *shell.Command) bool {
		return c.Is("dnf", "microdnf") && c.Has("install", "groupinstall", "localinstall") && c.Flag("y", "assumeyes") == 0
	}, addFlag("install", "-y")),
}
