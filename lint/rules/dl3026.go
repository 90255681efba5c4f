package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3026 = lint.Rule{
	Code: "DL3026", Level: lint.Error, Title: "an image from a registry that is not allowed",
	Check: func(p *lint.Pass) {
		if len(p.Settings.Registries) == 0 {
			return
		}
		for _, s := range p.Stages {
			for _, in := range s.Instructions {
				for _, img := range imagesOf(in) {
					if !allowed(p, img.name, s) {
						p.Report(img.at, "%s comes from a registry that is not on the list of allowed ones", img.name)
					}
				}
			}
		}
	},
}

// An imageUse is where an instruction names an image, or a stage.
type imageUse struct {
	name string
	at   dockerfile.Range
}

func imagesOf(in *dockerfile.Instruction) []imageUse {
	var out []imageUse
	switch in.Name {
	case "FROM":
		if w := in.Fields(); len(w) > 0 {
			out = append(out, imageUse{unquoted(w[0]), w[0].Range()})
		}
	case "COPY", "ADD":
		if from, ok := in.Flag("from"); ok {
			out = append(out, imageUse{from, flagRange(in, "from")})
		}
	case "RUN":
		for _, m := range mounts(in) {
			if m["from"] != "" {
				out = append(out, imageUse{m["from"], flagRange(in, "mount")})
			}
		}
	}
	return out
}

func allowed(p *lint.Pass, image string, s *dockerfile.Stage) bool {
	b := parseBase(image)
	if b.name == "scratch" && b.registry == "" || stageNamed(p.File, b.name, s) {
		return true
	}
	if image != "" && strings.Trim(image, "0123456789") == "" {
		return true // the number of a stage
	}
	hosts := []string{b.registry}
	if b.registry == "" {
		hosts = []string{"docker.io", "hub.docker.com"}
	}
	for _, pattern := range p.Settings.Registries {
		for _, h := range hosts {
			if matchRegistry(pattern, h) {
				return true
			}
		}
	}
	return false
}

// matchRegistry knows *, *.example.com and example.*.
func matchRegistry(pattern, host string) bool {
	if tail, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(host, tail)
	}
	if head, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(host, head)
	}
	return pattern == host
}
