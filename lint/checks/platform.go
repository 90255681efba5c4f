package checks

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var redundantTargetPlatform = lint.Rule{
	Code: "RedundantTargetPlatform", Level: lint.Warning, Title: "FROM --platform says the default",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if s.Platform == "$TARGETPLATFORM" || s.Platform == "${TARGETPLATFORM}" {
				p.Report(flagRange(s.From, "platform"), "the target platform is what FROM takes anyway; leave --platform out")
			}
		}
	},
}

var fromPlatformFlagConstDisallowed = lint.Rule{
	Code: "FromPlatformFlagConstDisallowed", Level: lint.Warning, Title: "FROM --platform with a constant",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if s.Platform == "" || strings.Contains(s.Platform, "$") || saysPlatform(s) {
				continue
			}
			p.Report(flagRange(s.From, "platform"), "this stage is for %s whatever the build is for; say it with build --platform", s.Platform)
		}
	},
}

// saysPlatform says whether the name of a stage has its platform in it: then
// there are others beside it, for others.
func saysPlatform(s *dockerfile.Stage) bool {
	for part := range strings.SplitSeq(s.Platform, "/") {
		if part != "" && strings.Contains(s.Name, part) {
			return true
		}
	}
	return false
}

var invalidBaseImagePlatform = lint.Rule{
	Code: "InvalidBaseImagePlatform", Level: lint.Warning, Title: "a base image for another platform",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if s.From == nil || s.Base != nil || s.Image.String() == "scratch" || p.Images == nil || strings.Contains(s.Platform, "$") {
				continue
			}
			img, ok := p.Images(s.Image.String())
			parts := strings.Split(s.Platform, "/")
			if ok && len(parts) > 1 && (img.OS != parts[0] || img.Architecture != parts[1]) {
				p.Report(s.Image.Range(), "%s is for %s/%s, and %s is asked for", s.Image, img.OS, img.Architecture, s.Platform)
			}
		}
	},
}

// flagRange is where a flag stands.
func flagRange(in *dockerfile.Instruction, name string) dockerfile.Range {
	for _, f := range in.Flags {
		if f.Name == name {
			return f.Text.Range()
		}
	}
	return in.Keyword.Range()
}
