package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3044 = lint.Rule{
	Code: "DL3044", Level: lint.Error, Title: "ENV uses a variable that it sets itself",
	Check: func(p *lint.Pass) {
		set := map[string]bool{}
		for _, in := range p.Instructions {
			if in.Name != "ENV" && in.Name != "ARG" {
				continue
			}
			kvs := in.Pairs()
			if in.Name == "ENV" {
				selfReferences(p, kvs, set)
			}
			for _, kv := range kvs {
				set[kv.Key] = true
			}
		}
	},
}

// selfReferences reports values that use a name the same ENV sets for the first time.
func selfReferences(p *lint.Pass, kvs []dockerfile.Pair, set map[string]bool) {
	for i, user := range kvs {
		for j, used := range kvs {
			if i != j && !set[used.Key] && used.Key != "" && refers(user.Raw.String(), used.Key) {
				p.Report(user.Text.Range(), "%s is set by this same ENV: here it still has the value from before, which is none", used.Key)
				return
			}
		}
	}
}

// refers says whether text uses the variable, as $name or ${name}.
func refers(text, name string) bool {
	if strings.Contains(text, "${"+name+"}") {
		return true
	}
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "$"+name)
		if !ok {
			return false
		}
		if after == "" || !isNameByte(after[0]) {
			return true
		}
		rest = after
	}
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
