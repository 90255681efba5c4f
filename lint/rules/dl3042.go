package rules

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3042 = lint.Rule{
	Code: "DL3042", Level: lint.Warning, Title: "pip's cache stays in the layer",
	Check: onRuns("what pip downloaded stays in this layer: add --no-cache-dir",
		func(p *lint.Pass, in *dockerfile.Instruction, s *shell.Script) *offence {
			c := s.First(func(c *shell.Command) bool {
				return isPip(c) && !c.HasPrefix("--no-cache-dir") && !strings.Contains(c.Name, "pipx") && !c.Has("pipx", "pipenv")
			})
			if c == nil || keeps(in, ".cache/pip") || isTrue(variables(p, in)["PIP_NO_CACHE_DIR"]) || setsNoCache(s) {
				return nil
			}
			return &offence{at: c.Range, fix: addFlag("install", "--no-cache-dir")(c)}
		}),
}

// setsNoCache says whether the script itself switches pip's cache off.
func setsNoCache(s *shell.Script) bool {
	_, rest, ok := strings.Cut(s.Text.String(), "PIP_NO_CACHE_DIR=")
	if !ok {
		return false
	}
	value, _, _ := strings.Cut(strings.TrimLeft(rest, `"'`), " ")
	return isTrue(strings.Trim(value, `"';&`))
}

func isTrue(s string) bool {
	return slices.Contains([]string{"1", "true", "on", "yes"}, strings.ToLower(s))
}
