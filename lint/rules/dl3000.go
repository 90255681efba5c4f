package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3000 = lint.Rule{
	Code: "DL3000", Level: lint.Error, Title: "WORKDIR is a relative path", Twin: "WorkdirRelativePath",
	Check: func(p *lint.Pass) {
		p.Deep(func(in *dockerfile.Instruction) {
			dir := unquoted(in.Args)
			if dir != "" && !isAbsolute(dir) && !strings.HasPrefix(dir, "$") {
				p.Report(in.Args.Range(), "WORKDIR %s depends on the WORKDIR before it; begin it with /", dir)
			}
		}, "WORKDIR")
	},
}

// isAbsolute knows paths of Linux and, with a drive, of Windows.
func isAbsolute(path string) bool {
	if strings.HasPrefix(path, "/") || strings.HasPrefix(path, `\`) {
		return true
	}
	return len(path) > 1 && path[1] == ':' && (path[0]|0x20 >= 'a' && path[0]|0x20 <= 'z')
}
