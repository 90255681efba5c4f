package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3027 = lint.Rule{
	Code: "DL3027", Level: lint.Warning, Title: "apt in a script",
	Check: onCommands("apt is for terminals, and what it prints and takes may change: use apt-get or apt-cache", func(c *shell.Command) bool {
		return c.Is("apt")
	}),
}
