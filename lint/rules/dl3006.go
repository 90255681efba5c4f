package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
)

var dl3006 = lint.Rule{
	Code: "DL3006", Level: lint.Warning, Title: "a base image without a tag",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if s.From == nil || s.Image.Len() == 0 {
				continue
			}
			b := parseBase(unquoted(s.Image))
			if b.tag != "" || b.digest != "" || b.name == "scratch" || strings.HasPrefix(s.Image.String(), "$") ||
				strings.HasPrefix(b.name, "$") || stageNamed(p.File, b.name, s) {
				continue
			}
			p.Report(s.Image.Range(), "%s has no tag: what it is changes with time; say which version is meant", s.Image)
		}
	},
}
