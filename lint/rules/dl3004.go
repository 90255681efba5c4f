package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3004 = lint.Rule{
	Code: "DL3004", Level: lint.Error, Title: "RUN uses sudo",
	Check: onCommands("sudo has surprises with terminals and signals; switch with USER, or use gosu", func(c *shell.Command) bool {
		return c.Is("sudo")
	}),
}
