package rules

import (
	"strconv"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3011 = lint.Rule{
	Code: "DL3011", Level: lint.Error, Title: "EXPOSE of a port that cannot be",
	Check: func(p *lint.Pass) {
		p.Deep(func(in *dockerfile.Instruction) {
			for _, w := range in.Fields() {
				ports, _, _ := strings.Cut(w.String(), "/")
				for port := range strings.SplitSeq(ports, "-") {
					if n, err := strconv.ParseUint(port, 10, 64); err == nil && n > 65535 {
						p.Report(w.Range(), "port %s does not exist: the last one is 65535", port)
						break
					}
				}
			}
		}, "EXPOSE")
	},
}
