package lint

import (
	"slices"
	"strings"
)

// A directive is what # check= says at the head of a file.
type directive struct {
	skip, experimental []string
	fail               bool
}

// parseDirective reads skip=A,B;error=true;experimental=C.
func parseDirective(s string) directive {
	var d directive
	for field := range strings.SplitSeq(s, ";") {
		key, value, _ := strings.Cut(field, "=")
		var list []string
		for code := range strings.SplitSeq(value, ",") {
			list = append(list, strings.TrimSpace(code))
		}
		switch strings.TrimSpace(key) {
		case "skip":
			d.skip = list
		case "experimental":
			d.experimental = list
		case "error":
			d.fail = strings.EqualFold(strings.TrimSpace(value), "true") || strings.TrimSpace(value) == "1"
		}
	}
	return d
}

func (d directive) skips(code string) bool {
	return slices.Contains(d.skip, "all") || slices.ContainsFunc(d.skip, func(s string) bool { return strings.EqualFold(s, code) })
}

// skippedAt says whether a comment above the instruction that a finding is about
// has check=skip= with its name.
func (s *Source) skippedAt(f *Finding) bool {
	in := s.at(f.Range.Start.Line)
	if in == nil {
		return false
	}
	for _, c := range in.Comments {
		if text, ok := strings.CutPrefix(c.Text.String(), "check="); ok {
			text, _, _ = strings.Cut(text, " ")
			if parseDirective(text).skips(f.Code) {
				return true
			}
		}
	}
	return false
}

// isCheck tells the names of BuildKit's checks from numbered codes.
func isCheck(code string) bool { return code != "" && strings.Trim(code, "0123456789") == code }

// Experimental says whether an experimental check is to be run on the file.
func (p *Pass) Experimental(code string) bool {
	for _, list := range [][]string{p.check.experimental, p.Settings.Experimental} {
		if slices.Contains(list, "all") || slices.Contains(list, code) {
			return true
		}
	}
	return false
}
