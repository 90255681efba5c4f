package checks

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var exposeProtoCasing = lint.Rule{
	Code: "ExposeProtoCasing", Level: lint.Warning, Title: "the protocol of EXPOSE in upper case",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			for _, w := range in.Fields() {
				_, proto, ok := strings.Cut(w.String(), "/")
				if ok && proto != strings.ToLower(proto) && !strings.Contains(proto, "$") {
					fix := []lint.Edit{{Range: w.Range(), Text: strings.TrimSuffix(w.String(), proto) + strings.ToLower(proto)}}
					p.Suggest(w.Range(), fix, "protocols are in lower case: %s", strings.ToLower(proto))
				}
			}
		}, "EXPOSE")
	},
}

var exposeInvalidFormat = lint.Rule{
	Code: "ExposeInvalidFormat", Level: lint.Warning, Title: "EXPOSE with an address or a host's port",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			for _, w := range in.Fields() {
				if strings.Contains(w.String(), ":") && !strings.Contains(w.String(), "$") {
					p.Report(w.Range(), "EXPOSE takes ports of the container only; addresses and host ports are for run --publish")
				}
			}
		}, "EXPOSE")
	},
}
