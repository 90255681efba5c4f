package rules

import (
	"strconv"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

// namesThis says whether a name or number, used in stage user, is stage s.
func namesThis(p *lint.Pass, name string, s, user *dockerfile.Stage) bool {
	if n, err := strconv.Atoi(name); err == nil {
		return n == s.Index
	}
	return p.Stage(name, user) == s
}
