package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3016 = lint.Rule{
	Code: "DL3016", Level: lint.Warning, Title: "npm installs a package of any version",
	Check: onPackages("npm installs %s in whatever version there is that day; say %s@VERSION", npmPackages, npmPinned),
}

func npmPackages(c *shell.Command) []shell.Arg {
	if !c.Is("npm") {
		return nil
	}
	ops := c.Operands("loglevel", "registry", "prefix", "cache", "tag")
	if len(ops) == 0 || ops[0].Text != "install" {
		return nil
	}
	return ops[1:]
}

// npmPinned says whether a package argument of npm is one version.
func npmPinned(s string) bool {
	for _, git := range []string{"git://", "git+ssh://", "git+http://", "git+https://", "git+file://"} {
		if strings.HasPrefix(s, git) {
			return strings.Contains(s, "#")
		}
	}
	for _, dir := range []string{"/", "./", "../", "~/"} {
		if strings.HasPrefix(s, dir) {
			return true
		}
	}
	return endsInAny(s, ".tar", ".tar.gz", ".tgz") || strings.Contains(strings.TrimPrefix(s, "@"), "@")
}
