package rules

import "github.com/mica-build/mica/lint"

var dl3051 = lint.Rule{
	Code: "DL3051", Level: lint.Warning, Title: "a label of the schema is empty",
	Check: onLabels("", "label %s is empty", func(s string) bool { return s == "" }),
}
