package rules

import "github.com/mica-build/mica/lint"

var dl3058 = lint.Rule{
	Code: "DL3058", Level: lint.Warning, Title: "a label that should be an address is none",
	Check: onLabels(lint.LabelEmail, "label %s is to be an e-mail address (RFC 5322)", isNoEmail),
}
