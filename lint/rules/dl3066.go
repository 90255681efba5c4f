package rules

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
)

var dl3066 = lint.Rule{
	Code: "DL3066", Level: lint.Info, Title: "USER by name",
	Check: func(p *lint.Pass) {
		var args []string
		for _, in := range p.Instructions {
			switch in.Name {
			case "ARG":
				for _, kv := range in.Pairs() {
					args = append(args, kv.Key)
				}
			case "USER":
				user, _, _ := strings.Cut(unquoted(in.Args), ":")
				if strings.Trim(user, "0123456789") != "" && !usesOne(user, args) {
					p.Report(in.Args.Range(), "%s is a name that only the image knows; with a number others can check who it is", user)
				}
			}
		}
	},
}

func usesOne(user string, args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		return strings.Contains(user, "${"+a) || strings.Contains(user, "$"+a)
	})
}
