package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3008 = lint.Rule{
	Code: "DL3008", Level: lint.Warning, Title: "apt-get installs a package of any version",
	Check: onPackages("apt-get installs %s in whatever version there is that day; say %s=VERSION", aptPackages, func(s string) bool {
		return strings.ContainsAny(s, "=/") || strings.HasSuffix(s, ".deb")
	}),
}

// aptPackages are what apt-get install is to install.
func aptPackages(c *shell.Command) []shell.Arg {
	if !c.Calls("apt-get", "install") {
		return nil
	}
	return without(c.Operands("t", "target-release", "o", "option", "c", "config-file"), "install")
}

// without leaves words out.
func without(args []shell.Arg, words ...string) []shell.Arg {
	var out []shell.Arg
next:
	for _, a := range args {
		for _, w := range words {
			if a.Text == w {
				continue next
			}
		}
		out = append(out, a)
	}
	return out
}
