package rules

import (
	"encoding/json"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
	"github.com/mica-build/mica/lint/shell"
)

var dl3025 = lint.Rule{
	Code: "DL3025", Level: lint.Warning, Title: "a command in shell form gets no signals", Twin: "JSONArgsRecommended",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			c := in
			if in.Name == "HEALTHCHECK" {
				c = in.Inner
			}
			if c == nil || c.IsExec || c.Args.Len() == 0 {
				return
			}
			p.Suggest(c.Args.Range(), execFix(c), "a shell stands between %s and its signals: use the JSON form", in.Name)
		}, "CMD", "ENTRYPOINT", "HEALTHCHECK")
	},
}

// execFix is the JSON form of a shell form that is one plain command: nothing in
// it that a shell would do anything about.
func execFix(in *dockerfile.Instruction) []lint.Edit {
	s := shell.Parse(in.Args)
	if s.Err != nil || len(s.Commands) != 1 || len(s.File.Stmts) != 1 {
		return nil
	}
	c := s.Commands[0]
	if hasAny(in.Args.String(), "$", "`", "*", "?", "[", "~", "{", "<", ">", "|", "&", ";", "(", "!", "#", "=", "\n", `\`) || c.Is("exec", "cd") {
		return nil
	}
	words := []string{c.Name}
	for _, a := range c.Args {
		words = append(words, a.Text)
	}
	raw, err := json.Marshal(words)
	if err != nil || in.Args.Range().Start.Line != in.Args.Range().End.Line {
		return nil
	}
	return []lint.Edit{{Range: in.Args.Range(), Text: spaced(raw)}}
}
