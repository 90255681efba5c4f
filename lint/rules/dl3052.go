package rules

import "github.com/mica-build/mica/lint"

var dl3052 = lint.Rule{
	Code: "DL3052", Level: lint.Warning, Title: "a label that should be a URL is none",
	Check: onLabels(lint.LabelURL, "label %s is to be a URL, with its scheme", isNoURL),
}
