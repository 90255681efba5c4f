package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl4005 = lint.Rule{
	Code: "DL4005", Level: lint.Warning, Title: "RUN replaces /bin/sh",
	Check: onCommands("another /bin/sh changes what everything in the image runs with; SHELL changes it for the build", func(c *shell.Command) bool {
		return c.Calls("ln", "/bin/sh")
	}),
}
