package rules

import (
	"strconv"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3022 = lint.Rule{
	Code: "DL3022", Level: lint.Warning, Title: "COPY --from names no stage",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			from, ok := in.Flag("from")
			from = strings.Trim(from, `"'`)
			if !ok || strings.Contains(from, ":") || namesStage(p, from, in.Stage) {
				return
			}
			p.Report(flagRange(in, "from"), "no stage before this is called %s; if an image is meant, give its tag", from)
		}, "COPY")
	},
}

// namesStage says whether a name or number is that of a stage up to and with s.
func namesStage(p *lint.Pass, name string, s *dockerfile.Stage) bool {
	if n, err := strconv.Atoi(name); err == nil {
		return n >= 0 && n <= s.Index
	}
	return s.Name != "" && s.Name == name || stageNamed(p.File, name, s)
}

// flagRange is where a flag stands.
func flagRange(in *dockerfile.Instruction, name string) dockerfile.Range {
	for _, f := range in.Flags {
		if f.Name == name {
			return f.Text.Range()
		}
	}
	return in.Keyword.Range()
}
