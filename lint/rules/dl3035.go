package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3035 = lint.Rule{
	Code: "DL3035", Level: lint.Warning, Title: "zypper upgrades the whole distribution",
	Check: onCommands("an upgrade of the whole distribution makes another base image; take a newer one in FROM", func(c *shell.Command) bool {
		return c.Calls("zypper", "dist-upgrade", "dup")
	}),
}
