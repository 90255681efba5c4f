package rules

import (
	"strings"

	"github.com/mica-build/mica/lint/dockerfile"
)

// A base is an image name as FROM has it, taken apart.
type base struct {
	registry, name, tag, digest string
}

// parseBase takes an image name apart without asking whether it is a good one:
// it may have variables in it.
func parseBase(s string) base {
	var b base
	s, b.digest, _ = strings.Cut(s, "@")
	if first, rest, ok := strings.Cut(s, "/"); ok && isHost(first) {
		b.registry, s = first, rest
	}
	b.name = s
	if i := lastColon(s); i > strings.LastIndexByte(s, '/') {
		b.name, b.tag = s[:i], s[i+1:]
	}
	return b
}

// lastColon is the place of the last colon that is not within ${NAME:-default}.
func lastColon(s string) int {
	depth, last := 0, -1
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			depth--
		case ':':
			if depth == 0 {
				last = i
			}
		}
	}
	return last
}

func isHost(s string) bool { return strings.ContainsAny(s, ".:") || s == "localhost" }

// stageNamed finds an earlier stage by its name, as written in another.
func stageNamed(f *dockerfile.File, name string, before *dockerfile.Stage) bool {
	return f.Stage(name, before) != nil
}
