package checks

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var invalidDefinitionDescription = lint.Rule{
	Code: "InvalidDefinitionDescription", Level: lint.Warning, Title: "a comment that is no description",
	Check: func(p *lint.Pass) {
		if !p.Experimental("InvalidDefinitionDescription") {
			return
		}
		p.Each(func(in *dockerfile.Instruction) {
			c := directlyAbove(in)
			names := defines(in)
			if len(names) == 0 || c == nil || slices.ContainsFunc(names, func(n string) bool {
				return strings.HasPrefix(c.Text.String(), n+" ")
			}) {
				return
			}
			p.Report(in.Keyword.Range(), "the comment above %s is its description: begin it with %s, or leave a line between",
				in.Name, strings.Join(names, " or "))
		}, "FROM", "ARG")
	},
}

// defines are the names that a FROM or ARG brings in.
func defines(in *dockerfile.Instruction) []string {
	if in.Name == "FROM" {
		if in.Stage.Name == "" {
			return nil
		}
		return []string{in.Stage.Name}
	}
	var out []string
	for _, kv := range in.Pairs() {
		out = append(out, kv.Key)
	}
	return out
}

// directlyAbove is the first of the comment lines that stand on an instruction.
func directlyAbove(in *dockerfile.Instruction) *dockerfile.Comment {
	next := in.Range.Start.Line
	var first *dockerfile.Comment
	for i := len(in.Comments) - 1; i >= 0; i-- {
		c := &in.Comments[i]
		if c.Text.Pos(0).Line != next-1 || c.Text.Len() == 0 {
			break
		}
		next--
		first = c
	}
	return first
}
