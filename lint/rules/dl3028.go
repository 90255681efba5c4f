package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3028 = lint.Rule{
	Code: "DL3028", Level: lint.Warning, Title: "gem installs a package of any version",
	Check: onPackages("gem installs %s in whatever version there is that day; say %s:VERSION", gems, func(s string) bool {
		return strings.Contains(s, ":")
	}),
}

func gems(c *shell.Command) []shell.Arg {
	if !c.Calls("gem", "install", "i") || c.Has("-v", "--version") || c.HasPrefix("--version=") {
		return nil
	}
	var out []shell.Arg
	for i := 0; i < len(c.Args); i++ {
		a := c.Args[i]
		switch {
		case a.Text == "--":
			return out // what follows is for the compiler
		case strings.HasPrefix(a.Text, "-"):
			if !strings.Contains(a.Text, "=") {
				i++
			}
		case a.Text != "install" && a.Text != "i":
			out = append(out, a)
		}
	}
	return out
}
