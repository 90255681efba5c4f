package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3018 = lint.Rule{
	Code: "DL3018", Level: lint.Warning, Title: "apk adds a package of any version",
	Check: onPackages("apk adds %s in whatever version there is that day; say %s=VERSION", apkPackages, func(s string) bool {
		return strings.ContainsAny(s, "=~<>") || strings.HasSuffix(s, ".apk")
	}),
}

func apkPackages(c *shell.Command) []shell.Arg {
	if !c.Calls("apk", "add") {
		return nil
	}
	return without(c.Operands("t", "virtual", "X", "repository", "p", "root", "arch", "cache-dir", "keys-dir", "repositories-file"), "add")
}
