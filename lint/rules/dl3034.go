package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3034 = lint.Rule{
	Code: "DL3034", Level: lint.Warning, Title: "zypper would ask",
	Check: onCommands("zypper asks, and nobody is there to answer: add --non-interactive", func(c *shell.Command) bool {
		return c.Calls("zypper", "install", "in", "remove", "rm", "source-install", "si", "patch") &&
			c.Flag("n", "non-interactive", "y", "no-confirm") == 0
	}),
}
