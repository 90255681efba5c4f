package checks

import (
	"strings"

	"github.com/moby/patternmatcher"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var copyIgnoredFile = lint.Rule{
	Code: "CopyIgnoredFile", Level: lint.Warning, Title: "COPY of a file that the ignore file excludes",
	Check: func(p *lint.Pass) {
		for _, pattern := range p.Ignore {
			if strings.HasPrefix(pattern, "!") {
				return // what such a file leaves in is only known with the files
			}
		}
		m, err := patternmatcher.New(p.Ignore)
		if err != nil || len(p.Ignore) == 0 {
			return
		}
		p.Each(func(in *dockerfile.Instruction) {
			if _, from := in.Flag("from"); from {
				return
			}
			reportIgnored(p, m, in)
		}, "COPY", "ADD")
	},
}

func reportIgnored(p *lint.Pass, m *patternmatcher.PatternMatcher, in *dockerfile.Instruction) {
	words := in.Exec
	if !in.IsExec {
		for _, w := range in.Fields() {
			words = append(words, strings.Trim(w.String(), `"'`))
		}
	}
	for i, w := range words {
		if i == len(words)-1 || strings.HasPrefix(w, "<<") || strings.Contains(w, "://") || strings.Contains(w, "$") {
			continue
		}
		path := strings.Trim(strings.TrimPrefix(w, "./"), "/")
		if path == "" || path == "." {
			continue
		}
		if ignored, err := m.MatchesOrParentMatches(path); err == nil && ignored {
			p.Report(in.Args.Range(), "%s is excluded by the ignore file: there is nothing to copy", w)
		}
	}
}
