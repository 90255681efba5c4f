// Package pages has a page for each rule of the linter: what it is about, why, an
// example that it finds and one that it does not, and when to silence it.
//
// The pages are files named by their code, embedded. Tests hold every example to
// the rules.
package pages

import "embed"

//go:embed *.md
var files embed.FS

// Page is the page of a rule, in Markdown; empty if there is none.
func Page(code string) string {
	raw, err := files.ReadFile(code + ".md")
	if err != nil {
		return ""
	}
	return string(raw)
}
