package checks

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var undefinedVar = lint.Rule{
	Code: "UndefinedVar", Level: lint.Warning, Title: "a variable that nothing sets",
	Check: func(p *lint.Pass) {
		envs := map[*dockerfile.Stage][]string{} // what a stage hands to those on it
		for _, s := range p.Stages {
			known := append([]string{"PATH"}, envs[s.Base]...)
			if s.From == nil {
				continue // a fragment: what is set before is not known
			}
			known = append(known, baseEnv(p, s)...)
			var args []string
			for _, in := range s.Instructions {
				reportUndefined(p, in, slices.Concat(known, args, predefined))
				for _, kv := range in.Pairs() {
					switch in.Name {
					case "ENV":
						known = append(known, kv.Key)
					case "ARG":
						args = append(args, kv.Key)
					}
				}
			}
			envs[s] = known
		}
	},
}

// predefined are arguments that every build has.
var predefined = []string{
	"ALL_PROXY", "FTP_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "all_proxy", "ftp_proxy", "http_proxy", "https_proxy",
	"no_proxy",
}

// commonEnv are names that well-known images set, for bases that nothing is known of.
var commonEnv = []string{
	"CARGO_HOME", "CATALINA_HOME", "GEM_HOME", "GOLANG_VERSION", "GOPATH", "GOROOT", "HOME", "JAVA_HOME", "JAVA_VERSION", "LANG",
	"NGINX_VERSION", "NODE_VERSION", "PGDATA", "PG_MAJOR", "PG_VERSION", "PHP_INI_DIR", "PHP_VERSION", "PYTHON_VERSION",
	"RUBY_VERSION", "RUSTUP_HOME", "RUST_VERSION", "YARN_VERSION",
}

// baseEnv are the names that the base image sets, as far as that is known.
func baseEnv(p *lint.Pass, s *dockerfile.Stage) []string {
	if s.Base != nil || s.Image.String() == "scratch" {
		return nil
	}
	if p.Images != nil {
		if img, ok := p.Images(s.Image.String()); ok {
			var out []string
			for _, kv := range img.Env {
				name, _, _ := strings.Cut(kv, "=")
				out = append(out, name)
			}
			return out
		}
	}
	return commonEnv
}

// reportUndefined looks at what the builder itself expands: everything but
// scripts and commands, which the shell in the container expands.
func reportUndefined(p *lint.Pass, in *dockerfile.Instruction, known []string) {
	texts := []dockerfile.Text{in.Args}
	for _, f := range in.Flags {
		texts = append(texts, f.Text)
	}
	switch in.Name {
	case "FROM", "CMD", "ENTRYPOINT", "SHELL", "HEALTHCHECK", "MAINTAINER", "ONBUILD":
		return
	case "RUN":
		texts = texts[1:]
	}
	for _, h := range in.Heredocs {
		if h.Expand && in.Name != "RUN" {
			texts = append(texts, h.Content)
		}
	}
	reported := map[string]bool{}
	for _, t := range texts {
		for _, u := range uses(t, p.Escape) {
			if u.safe || slices.Contains(known, u.name) || reported[u.name] {
				continue
			}
			reported[u.name] = true
			p.Report(u.at, "nothing sets %s%s", u.name, suggest(u.name, known))
		}
	}
}
