package rules

import (
	"regexp"
	"sync"

	"github.com/mica-build/mica/lint"
)

var dl3056 = lint.Rule{
	Code: "DL3056", Level: lint.Warning, Title: "a label that should be a version is none",
	Check: onLabels(lint.LabelSemver, "label %s is to be a semantic version, such as 1.2.3", isNoVersion),
}

// semver is the grammar of https://semver.org, version 2.0.0.
var semver = sync.OnceValue(func() *regexp.Regexp {
	const number, ident = `(0|[1-9]\d*)`, `[0-9A-Za-z-]+`
	const pre = `(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)`
	return regexp.MustCompile(`^` + number + `\.` + number + `\.` + number + `(-` + pre + `(\.` + pre + `)*)?(\+` + ident + `(\.` + ident + `)*)?$`)
})

func isNoVersion(s string) bool { return !semver().MatchString(s) }
