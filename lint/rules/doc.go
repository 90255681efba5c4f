// Package rules has the Dockerfile rules that people know by hadolint's codes:
// DL1001 to DL4006, the same meaning, messages of our own.
//
// Each rule is a file named by its code, listed in All. Its page in lint/pages says what
// it is about and why, with an example that it finds and one that it does not;
// testdata has further cases. The tests find a rule that is
// not listed, has no page, or whose examples are not true.
//
// Source: https://github.com/hadolint/hadolint/wiki, in our own words.
package rules
