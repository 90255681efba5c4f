package rules

import (
	"strings"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var dl3048 = lint.Rule{
	Code: "DL3048", Level: lint.Style, Title: "a label with an unusual name",
	Check: func(p *lint.Pass) {
		p.Each(func(in *dockerfile.Instruction) {
			for _, kv := range in.Pairs() {
				if why := badLabel(kv.Key); why != "" {
					p.Report(kv.Name.Range(), "label %s: a name %s", kv.Key, why)
				}
			}
		}, "LABEL")
	},
}

// badLabel says what is wrong with the name of a label.
// Source: https://docs.docker.com/engine/manage-resources/labels/
func badLabel(key string) string {
	const letters, digits = "abcdefghijklmnopqrstuvwxyz", "0123456789"
	switch {
	case key == "":
		return "cannot be empty"
	case strings.IndexByte(letters, key[0]) < 0:
		return "begins with a lower-case letter"
	case strings.IndexByte(letters+digits, key[len(key)-1]) < 0:
		return "ends with a lower-case letter or a digit"
	case strings.Trim(key, letters+digits+".-_/") != "" || strings.IndexFunc(key, func(r rune) bool {
		return !strings.ContainsRune(letters+digits+".-_/", r)
	}) >= 0:
		return "has only lower-case letters, digits and . - _ /"
	case hasAny(key, "..", "--", "__"):
		return "has no two separators in a row"
	}
	for _, reserved := range []string{"com.docker.", "io.docker.", "org.dockerproject."} {
		if strings.HasPrefix(key, reserved) {
			return "beginning with " + reserved + " is docker's own"
		}
	}
	return ""
}
