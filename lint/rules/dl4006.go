package rules

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl4006 = lint.Rule{
	Code: "DL4006", Level: lint.Warning, Title: "a pipe hides errors",
	Check: func(p *lint.Pass) {
		for _, s := range p.Stages {
			for _, in := range s.Instructions {
				if in.Name == "RUN" && !pipesFail(p.Shell(in)) {
					reportPipe(p, in)
				}
			}
		}
	},
}

func reportPipe(p *lint.Pass, in *dockerfile.Instruction) {
	for _, s := range p.Scripts(in) {
		if len(s.Pipes) > 0 {
			p.Report(s.Pipes[0], "only the last command of a pipe can fail the build: set SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"] before (/bin/ash where that is the shell)")
			return
		}
	}
}

// pipesFail says whether a shell, as SHELL gives it, fails when any part of a
// pipe does, or is of a kind to which that does not apply.
func pipesFail(shell string) bool {
	words := strings.Fields(shell)
	if len(words) == 0 {
		return false
	}
	name := words[0][strings.LastIndexAny(words[0], `/\`)+1:]
	switch strings.TrimSuffix(strings.ToLower(name), ".exe") {
	case "pwsh", "powershell", "cmd":
		return true
	case "bash", "zsh", "ash":
		i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") && strings.HasSuffix(w, "o") })
		return i >= 0 && slices.Contains(words[i:], "pipefail")
	}
	return false
}
