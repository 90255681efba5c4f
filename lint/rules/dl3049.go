package rules

import (
	"maps"
	"slices"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3049 = lint.Rule{
	Code: "DL3049", Level: lint.Info, Title: "a label that the schema asks for is missing",
	Check: func(p *lint.Pass) {
		have := map[*dockerfile.Stage]map[string]bool{}
		for _, s := range p.Stages {
			have[s] = labelsOf(s, have[s.Base])
		}
		for _, s := range p.Stages {
			if s.From == nil || !isFinal(p, s) {
				continue
			}
			for _, label := range slices.Sorted(maps.Keys(p.Settings.Labels)) {
				if !have[s][label] {
					p.Report(s.From.Keyword.Range(), "the image has no label %s", label)
				}
			}
		}
	},
}

func labelsOf(s *dockerfile.Stage, inherited map[string]bool) map[string]bool {
	out := maps.Clone(inherited)
	if out == nil {
		out = map[string]bool{}
	}
	for _, in := range s.Instructions {
		if in.Name == "LABEL" {
			for _, kv := range in.Pairs() {
				out[kv.Key] = true
			}
		}
	}
	return out
}

// isFinal says whether a stage can be what somebody builds: nothing stands on it
// and nothing copies from it.
func isFinal(p *lint.Pass, s *dockerfile.Stage) bool {
	for _, o := range p.Stages {
		if o.Base == s {
			return false
		}
		for _, in := range o.Instructions {
			for _, use := range imagesOf(in) {
				if in.Name != "FROM" && namesThis(p, use.name, s, o) {
					return false
				}
			}
		}
	}
	return true
}
