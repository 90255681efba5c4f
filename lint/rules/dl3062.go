package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3062 = lint.Rule{
	Code: "DL3062", Level: lint.Warning, Title: "go installs a package of any version",
	Check: onPackages("go takes %s in whatever version there is that day; say %s@VERSION", goPackages, func(s string) bool {
		if s == "." || strings.HasPrefix(s, "/") || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".go") {
			return true
		}
		_, version, ok := strings.Cut(s, "@")
		return ok && version != "latest" && version != "none"
	}),
}

// goPackages are the packages of go run, install and get; what follows that of
// go run is for the program.
func goPackages(c *shell.Command) []shell.Arg {
	if !c.Is("go") {
		return nil
	}
	words := goWords(c.Args)
	if len(words) < 2 {
		return nil
	}
	switch words[0].Text {
	case "run":
		return words[1:2]
	case "install", "get":
		return without(words[1:], "tool")
	}
	return nil
}

// goWords leaves out flags, which have one dash whatever their length, and the
// values of those that need one.
func goWords(args []shell.Arg) []shell.Arg {
	var out []shell.Arg
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i].Text, "-")
		if !isFlag {
			out = append(out, args[i])
			continue
		}
		switch strings.TrimPrefix(name, "-") {
		case "C", "asmflags", "buildmode", "compiler", "exec", "gcflags", "ldflags", "mod", "modfile", "o", "overlay", "p",
			"pkgdir", "tags", "toolexec":
			i++
		}
	}
	return out
}
