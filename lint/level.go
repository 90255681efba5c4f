package lint

import (
	"fmt"
	"strings"

	"github.com/mica-build/mica/errs"
)

// A Level says how bad a finding is. The zero value is Error.
type Level int

// The levels, worst first. Ignore is for rules that are off until asked for.
const (
	Error Level = iota
	Warning
	Info
	Style
	Ignore
)

var levelNames = [...]string{"error", "warning", "info", "style", "ignore"}

// String is the level's name in lower case.
func (l Level) String() string {
	if l < 0 || int(l) >= len(levelNames) {
		return fmt.Sprintf("level %d", int(l))
	}
	return levelNames[l]
}

// ParseLevel reads a level's name; none is another word for ignore.
func ParseLevel(s string) (Level, error) {
	for i, n := range levelNames {
		if strings.EqualFold(s, n) {
			return Level(i), nil
		}
	}
	if strings.EqualFold(s, "none") {
		return Ignore, nil
	}
	return 0, fmt.Errorf("level %q is none of %s: %w", s, strings.Join(levelNames[:], ", "), errs.ErrInvalid)
}

// Reaches says whether l is as bad as threshold, or worse.
func (l Level) Reaches(threshold Level) bool { return l != Ignore && l <= threshold }
