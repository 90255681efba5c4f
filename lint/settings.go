package lint

// Settings say what a Linter looks for. The zero value is every rule at its own
// level, no registry list and no label schema.
type Settings struct {
	// Levels replaces rules' levels, by code.
	Levels map[string]Level
	// Ignored rules find nothing.
	Ignored map[string]bool
	// Only, if not empty, are the only rules asked.
	Only map[string]bool
	// NoPragmas leaves comments that silence rules without effect.
	NoPragmas bool
	// Registries are those that images may come from; wildcards as in *.example.com
	// and *. None means all.
	Registries []string
	// Labels are the labels each image has to have, and the type of each value.
	Labels map[string]LabelType
	// StrictLabels forbids all others.
	StrictLabels bool
	// Experimental are the experimental BuildKit checks to run; "all" is all of them.
	Experimental []string
	// Unused reports pragmas that silence nothing.
	Unused bool
}

// A LabelType says what the value of a label has to be.
type LabelType string

// The types of labels.
const (
	LabelText    LabelType = "text"
	LabelRFC3339 LabelType = "rfc3339"
	LabelSemver  LabelType = "semver"
	LabelURL     LabelType = "url"
	LabelHash    LabelType = "hash" // of a git commit
	LabelSPDX    LabelType = "spdx"
	LabelEmail   LabelType = "email"
)

// LabelTypes are all there are.
func LabelTypes() []LabelType {
	return []LabelType{LabelText, LabelRFC3339, LabelSemver, LabelURL, LabelHash, LabelSPDX, LabelEmail}
}
