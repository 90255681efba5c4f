package rules

import "github.com/mica-build/mica/lint"

var dl4004 = lint.Rule{
	Code: "DL4004", Level: lint.Error, Title: "a second ENTRYPOINT in one stage", Twin: "MultipleInstructionsDisallowed",
	Check: func(p *lint.Pass) { repeated(p, "ENTRYPOINT") },
}
