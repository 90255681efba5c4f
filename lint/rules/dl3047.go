package rules

import (
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/shell"
)

var dl3047 = lint.Rule{
	Code: "DL3047", Level: lint.Info, Title: "wget draws its progress into the log",
	Check: onCommands("wget draws a line for every 50 kB into the build's log: add --progress=dot:giga or -nv", func(c *shell.Command) bool {
		return c.Is("wget") && c.Flag("progress", "q", "quiet", "o", "output-file", "a", "append-output", "no-verbose") == 0 && !c.Has("-nv")
	}),
}
