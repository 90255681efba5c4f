package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3020 = lint.Rule{
	Code: "DL3020", Level: lint.Error, Title: "ADD where COPY is meant",
	Check: func(p *lint.Pass) {
		p.Deep(func(in *dockerfile.Instruction) {
			sources, _ := paths(in)
			for _, s := range sources {
				if strings.HasPrefix(s, "<<") || isArchive(s) || isURL(s) {
					continue
				}
				fix := []lint.Edit{{Range: in.Keyword.Range(), Text: matchCase("COPY", in.Keyword.String())}}
				if len(in.Flags) > 0 || len(sources) > 1 {
					fix = nil
				}
				p.Suggest(in.Keyword.Range(), fix, "ADD fetches and unpacks; for %s, which needs neither, COPY is meant", s)
				return
			}
		}, "ADD")
	},
}

func isURL(s string) bool {
	for _, scheme := range []string{"http://", "https://", "git://", "git@", "ssh://"} {
		if strings.HasPrefix(s, scheme) {
			return true
		}
	}
	return false
}

// matchCase gives a keyword the case of another.
func matchCase(word, like string) string {
	if like == strings.ToLower(like) {
		return strings.ToLower(word)
	}
	return word
}
