package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3030 = lint.Rule{
	Code: "DL3030", Level: lint.Warning, Title: "yum install would ask",
	Check: onCommands("yum asks before it installs, and nobody is there to answer: add -y", func(c *shell.Command) bool {
		return c.Calls("yum", "install", "groupinstall", "localinstall") && c.Flag("y", "assumeyes") == 0
	}, addFlag("install", "-y")),
}
