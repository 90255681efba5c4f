package rules

import "github.com/mica-build/mica/lint"

var dl3054 = lint.Rule{
	Code: "DL3054", Level: lint.Warning, Title: "a label that should be a licence is none",
	Check: onLabels(lint.LabelSPDX, "label %s is to be an SPDX licence identifier, such as Apache-2.0", isNoLicence),
}
