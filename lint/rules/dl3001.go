package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3001 = lint.Rule{
	Code: "DL3001", Level: lint.Info, Title: "RUN calls a program that has no use in a build",
	Check: onCommands("%s is for people or for running machines; a build has no use for it", func(c *shell.Command) bool {
		return c.Is("free", "kill", "mount", "ps", "service", "shutdown", "ssh", "top", "vim")
	}),
}
