package rules

import (
	"github.com/mica-build/mica/lint"
)

var dl4003 = lint.Rule{
	Code: "DL4003", Level: lint.Warning, Title: "a second CMD in one stage", Twin: "MultipleInstructionsDisallowed",
	Check: func(p *lint.Pass) { repeated(p, "CMD") },
}
