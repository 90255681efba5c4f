package rules

import "github.com/mica-build/mica/lint"

var dl3041 = lint.Rule{
	Code: "DL3041", Level: lint.Warning, Title: "dnf installs a package of any version",
	Check: onRPMs("dnf installs %s in whatever version there is that day; say %s-VERSION", "dnf", "microdnf"),
}
