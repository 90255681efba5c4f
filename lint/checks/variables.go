package checks

import (
	"slices"
	"strings"

	"github.com/mica-build/mica/lint/dockerfile"
)

// A use is a variable in an instruction.
type use struct {
	name string
	at   dockerfile.Range
	safe bool // it has a default, or says what to do if it is not set
}

// uses finds the variables that the builder would replace in text.
func uses(t dockerfile.Text, escape byte) []use {
	var out []use
	s := t.String()
	single := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == escape && !single:
			i++
		case s[i] == '\'' && !inDouble(s[:i]):
			single = !single
		case s[i] == '$' && !single && i+1 < len(s):
			if u, n := variable(t, i); n > 0 {
				out = append(out, u)
				i += n - 1
			}
		}
	}
	return out
}

// inDouble says whether what follows head stands in double quotes.
func inDouble(head string) bool { return strings.Count(head, `"`)%2 == 1 }

// variable reads the one that begins at byte i, and says how long it is.
func variable(t dockerfile.Text, i int) (use, int) {
	s := t.String()[i+1:]
	brace := strings.HasPrefix(s, "{")
	if brace {
		s = s[1:]
	}
	n := 0
	for n < len(s) && (s[n] == '_' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	if n == 0 {
		return use{}, 0
	}
	u := use{name: s[:n], at: t.RangeOf(i, i+1+n)}
	if !brace {
		return u, 1 + n
	}
	rest := strings.TrimPrefix(s[n:], ":")
	u.safe = rest != "" && strings.IndexByte("-+?", rest[0]) >= 0
	return u, 2 + n
}

// platformArgs are set by the builder wherever it builds for a platform.
var platformArgs = []string{
	"BUILDARCH", "BUILDOS", "BUILDOSVERSION", "BUILDPLATFORM", "BUILDVARIANT", "TARGETARCH", "TARGETOS", "TARGETOSVERSION",
	"TARGETPLATFORM", "TARGETSTAGE", "TARGETVARIANT",
}

// nearest is the known name that name is a slip of, or nothing.
func nearest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least && d < len(name) {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to add, drop or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// suggest is the end of a message that names the nearest name.
func suggest(name string, known []string) string {
	slices.Sort(known)
	if n := nearest(name, known); n != "" {
		return "; is " + n + " meant?"
	}
	return ""
}
