package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3037 = lint.Rule{
	Code: "DL3037", Level: lint.Warning, Title: "zypper installs a package of any version",
	Check: onPackages("zypper installs %s in whatever version there is that day; say %s=VERSION", zypperPackages, func(s string) bool {
		return strings.ContainsAny(s, "=<>") || strings.HasSuffix(s, ".rpm")
	}),
}

func zypperPackages(c *shell.Command) []shell.Arg {
	if !c.Calls("zypper", "install", "in") {
		return nil
	}
	return without(c.Operands("t", "type", "r", "repo", "from", "R", "root", "D", "reposd-dir"), "install", "in")
}
