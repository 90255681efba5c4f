package checks

import (
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var undefinedArgInFrom = lint.Rule{
	Code: "UndefinedArgInFrom", Level: lint.Warning, Title: "FROM uses an argument that is not declared",
	Check: func(p *lint.Pass) {
		known := slices.Clone(platformArgs)
		for _, g := range p.Globals() {
			for _, kv := range g.Pairs() {
				known = append(known, kv.Key)
			}
		}
		for _, s := range p.Stages {
			if s.From == nil {
				continue
			}
			texts := []dockerfile.Text{s.Image}
			for _, f := range s.From.Flags {
				texts = append(texts, f.Text)
			}
			for _, t := range texts {
				for _, u := range uses(t, p.Escape) {
					if !slices.Contains(known, u.name) && !u.safe {
						p.Report(u.at, "no ARG before the first FROM declares %s%s", u.name, suggest(u.name, known))
					}
				}
			}
		}
	},
}

var invalidDefaultArgInFrom = lint.Rule{
	Code: "InvalidDefaultArgInFrom", Level: lint.Warning, Title: "the default of an ARG gives no image name",
	Check: func(p *lint.Pass) {
		values := map[string]argument{}
		for _, g := range p.Globals() {
			for _, kv := range g.Pairs() {
				values[kv.Key] = argument{expand(kv.Value, values), kv.Has}
			}
		}
		for _, s := range p.Stages {
			name := strings.Trim(s.Image.String(), `"'`)
			if s.From == nil || !strings.Contains(name, "$") || undeclared(s.Image, values, p.Escape) {
				continue
			}
			name = expand(name, values)
			if strings.Contains(name, "$") || p.Stage(name, s) != nil {
				continue // with an operator we do not follow
			}
			if _, err := reference.ParseNormalizedNamed(name); err != nil {
				p.Report(s.Image.Range(), "without build arguments this is %q, which is no image", name)
			}
		}
	},
}

// An argument is a global ARG: without a default it is declared but not set.
type argument struct {
	value string
	set   bool
}

// undeclared says whether a text uses variables that another check speaks of.
func undeclared(t dockerfile.Text, values map[string]argument, escape byte) bool {
	return slices.ContainsFunc(uses(t, escape), func(u use) bool {
		_, ok := values[u.name]
		return !ok
	})
}

// expand puts values in for $name, ${name} and ${name:-default}.
func expand(s string, values map[string]argument) string {
	for name, arg := range values {
		s = strings.ReplaceAll(s, "${"+name+"}", arg.value)
		s = withDefault(s, "${"+name+":-", arg, arg.value == "")
		s = withDefault(s, "${"+name+"-", arg, !arg.set)
		s = replaceBare(s, name, arg.value)
	}
	return s
}

// withDefault replaces what begins with opening and ends with }.
func withDefault(s, opening string, arg argument, useDefault bool) string {
	for {
		head, rest, ok := strings.Cut(s, opening)
		value, tail, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return s
		}
		if !useDefault {
			value = arg.value
		}
		s = head + value + tail
	}
}

// replaceBare puts v in for $name where the name ends there.
func replaceBare(s, name, v string) string {
	var b strings.Builder
	for {
		head, rest, ok := strings.Cut(s, "$"+name)
		b.WriteString(head)
		if !ok {
			return b.String()
		}
		if rest != "" && (rest[0] == '_' || rest[0]|0x20 >= 'a' && rest[0]|0x20 <= 'z' || rest[0] >= '0' && rest[0] <= '9') {
			b.WriteString("$" + name)
		} else {
			b.WriteString(v)
		}
		s = rest
	}
}
