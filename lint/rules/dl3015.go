package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3015 = lint.Rule{
	Code: "DL3015", Level: lint.Info, Title: "apt-get installs recommended packages too",
	Check: onCommands("recommended packages come along: add --no-install-recommends and name what is needed", func(c *shell.Command) bool {
		return c.Calls("apt-get", "install") && c.Flag("no-install-recommends") == 0 &&
			!c.Has("APT::Install-Recommends=false", "-oAPT::Install-Recommends=false")
	}, addFlag("install", "--no-install-recommends")),
}
