package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3002 = lint.Rule{
	Code: "DL3002", Level: lint.Warning, Title: "the image runs as root",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			var last *dockerfile.Instruction
			for _, in := range s.Instructions {
				if in.Name == "USER" {
					last = in
				}
			}
			if last == nil || s.From == nil {
				continue
			}
			user, _, _ := strings.Cut(unquoted(last.Args), ":")
			if user == "root" || user == "0" {
				p.Report(last.Args.Range(), "the last USER of the stage is root; end with a user without privileges")
			}
		}
	},
}
