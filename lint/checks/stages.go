package checks

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var duplicateStageName = lint.Rule{
	Code: "DuplicateStageName", Level: lint.Warning, Title: "two stages have one name",
	Check: func(p *lint.Pass) {
		seen := map[string]bool{}
		for _, s := range p.Stages {
			name := strings.ToLower(s.Name)
			if name != "" && seen[name] {
				p.Report(s.From.Fields()[2].Range(), "a stage before this is called %s too", s.Name)
			}
			seen[name] = true
		}
	},
}

var reservedStageName = lint.Rule{
	Code: "ReservedStageName", Level: lint.Warning, Title: "a stage with a reserved name",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			if name := strings.ToLower(s.Name); name == "scratch" || name == "context" {
				p.Report(s.From.Fields()[2].Range(), "%s means something else to the builder; give the stage another name", s.Name)
			}
		}
	},
}

var multipleInstructionsDisallowed = lint.Rule{
	Code: "MultipleInstructionsDisallowed", Level: lint.Warning, Title: "CMD, ENTRYPOINT or HEALTHCHECK more than once",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			last := map[string]*dockerfile.Instruction{}
			for _, in := range s.Instructions {
				switch in.Name {
				case "CMD", "ENTRYPOINT", "HEALTHCHECK":
				default:
					continue
				}
				if old := last[in.Name]; old != nil {
					p.Report(old.Keyword.Range(), "this %s has no effect: line %d has another", in.Name, in.Range.Start.Line)
				}
				last[in.Name] = in
			}
		}
	},
}

var jsonArgsRecommended = lint.Rule{
	Code: "JSONArgsRecommended", Level: lint.Warning, Title: "a command in shell form gets no signals",
	Check: func(p *lint.Pass) {
		own := map[*dockerfile.Stage]bool{} // with a SHELL, which the author has thought about
		for _, s := range p.Stages {
			own[s] = own[s.Base]
			for _, in := range s.Instructions {
				own[s] = own[s] || in.Name == "SHELL"
				if (in.Name == "CMD" || in.Name == "ENTRYPOINT") && !in.IsExec && !own[s] && in.Args.Len() > 0 {
					p.Report(in.Args.Range(), "a shell stands between %s and its signals: use the JSON form", in.Name)
				}
			}
		}
	},
}

var workdirRelativePath = lint.Rule{
	Code: "WorkdirRelativePath", Level: lint.Warning, Title: "WORKDIR relative to what the base image says",
	Check: func(p *lint.Pass) {
		set := map[*dockerfile.Stage]bool{}
		for _, s := range p.Stages {
			set[s] = set[s.Base]
			for _, in := range s.Instructions {
				if in.Name != "WORKDIR" || set[s] {
					continue
				}
				set[s] = true
				dir := strings.Trim(in.Args.String(), `"'`)
				if dir != "" && !isAbsolute(dir) && !strings.HasPrefix(dir, "$") {
					p.Report(in.Args.Range(), "WORKDIR %s is relative to what the base image happens to say", dir)
				}
			}
		}
	},
}

func isAbsolute(path string) bool {
	if strings.HasPrefix(path, "/") || strings.HasPrefix(path, `\`) {
		return true
	}
	return len(path) > 1 && path[1] == ':'
}

var maintainerDeprecated = lint.Rule{
	Code: "MaintainerDeprecated", Level: lint.Warning, Title: "MAINTAINER is no longer used",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			p.Report(in.Keyword.Range(), "MAINTAINER has gone: write LABEL org.opencontainers.image.authors=…")
		}, "MAINTAINER")
	},
}

var legacyKeyValueFormat = lint.Rule{
	Code: "LegacyKeyValueFormat", Level: lint.Warning, Title: "ENV or LABEL without =",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			for _, kv := range in.Pairs() {
				if kv.Old {
					p.Suggest(in.Args.Range(), equalsFix(p, in, kv), "write %s %s=… with an equals sign", in.Name, kv.Key)
				}
			}
		}, "ENV", "LABEL")
	},
}

// equalsFix puts the = in. The value keeps its quotes; one with blanks gets them.
func equalsFix(p *lint.Pass, in *dockerfile.Instruction, kv dockerfile.Pair) []lint.Edit {
	r := in.Args.Range()
	value := kv.Raw.String()
	if !kv.Has || r.Start.Line != r.End.Line {
		return nil
	}
	if strings.ContainsAny(value, `"'`+string(p.Escape)) && len(kv.Raw.Words(p.Escape)) > 1 {
		return nil // quotes in the middle: what is meant is for people to say
	}
	if strings.ContainsAny(value, " \t") && !strings.ContainsAny(value, `"'`) {
		value = `"` + value + `"`
	}
	return []lint.Edit{{Range: r, Text: kv.Name.String() + "=" + value}}
}
