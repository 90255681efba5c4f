package rules

import "github.com/mica-build/mica/lint"

var dl3055 = lint.Rule{
	Code: "DL3055", Level: lint.Warning, Title: "a label that should be a commit is none",
	Check: onLabels(lint.LabelHash, "label %s is to be the 7 or 40 hex digits of a commit", isNoHash),
}
