package rules

import "github.com/mica-build/mica/lint"

var dl3053 = lint.Rule{
	Code: "DL3053", Level: lint.Warning, Title: "a label that should be a time is none",
	Check: onLabels(lint.LabelRFC3339, "label %s is to be a time as in 2026-01-02T15:04:05Z (RFC 3339)", isNoTime),
}
