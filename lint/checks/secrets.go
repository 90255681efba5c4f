package checks

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var secretsUsedInArgOrEnv = lint.Rule{
	Code: "SecretsUsedInArgOrEnv", Level: lint.Warning, Title: "a credential in ARG or ENV",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			if in.Stage.Index < 0 && len(p.Stages) > 1 {
				return // in front of the first FROM nothing of it is kept
			}
			for _, kv := range in.Pairs() {
				if isSecret(kv.Key) {
					p.Report(kv.Name.Range(), "%s looks like a credential, and %s keeps it in the image: use RUN --mount=type=secret", kv.Key, in.Name)
				}
			}
		}, "ARG", "ENV")
	},
}

// isSecret looks for words of credentials between the underscores of a name.
func isSecret(name string) bool {
	words := strings.Split(strings.ToLower(name), "_")
	has := func(list ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	return has("apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token") &&
		!has("public", "file", "version")
}
