package table

import (
	"strings"
	"unique"
)

// intern gives one copy of a string that is there many times, and lets go of the
// buffer it was read from.
func intern(s string) string {
	if s == "" {
		return ""
	}
	return unique.Make(strings.Clone(s)).Value()
}
