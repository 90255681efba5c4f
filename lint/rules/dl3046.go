package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3046 = lint.Rule{
	Code: "DL3046", Level: lint.Warning, Title: "useradd with a large number makes a huge file",
	Check: onCommands("useradd makes a login log as long as the number is large: add --no-log-init", func(c *shell.Command) bool {
		if !c.Is("useradd") || c.Flag("l", "no-log-init") > 0 {
			return false
		}
		uid, ok := c.FlagValue("u")
		if !ok {
			uid, ok = c.FlagValue("uid")
		}
		return ok && len(uid) > 5
	}),
}
