package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3014 = lint.Rule{
	Code: "DL3014", Level: lint.Warning, Title: "apt-get install would ask",
	Check: onCommands("apt-get install asks before it installs, and nobody is there to answer: add -y", func(c *shell.Command) bool {
		return c.Calls("apt-get", "install") && c.Flag("y", "yes", "qq", "assume-yes") == 0 && c.Flag("q") < 2 &&
			c.Flag("quiet") < 2 && !c.Has("-q=2", "--quiet=2")
	}, addFlag("install", "-y")),
}
