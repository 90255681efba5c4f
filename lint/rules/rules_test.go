package rules

import (
	"os"
	"strings"
	"testing"

	"github.com/mica-build/mica/lint"
)

// TestCases holds the rules to testdata/cases.txt: a head of code and verdict,
// then the Dockerfile.
func TestCases(t *testing.T) {
	raw, err := os.ReadFile("testdata/cases.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(raw), "\n") // the line that explains
	for c := range strings.SplitSeq(text, "\n---\n") {
		head, file, _ := strings.Cut(c, "\n")
		code, verdict, _ := strings.Cut(head, " ")
		t.Run(head, func(t *testing.T) {
			l := lint.Linter{Rules: All(), Settings: lint.Settings{Only: map[string]bool{code: true}}}
			got := l.Run(lint.Input{Name: "Dockerfile", Raw: []byte(file)})
			if found := len(got) > 0; found != (verdict == "finds") {
				t.Errorf("%s: found %v in:\n%s", head, got, file)
			}
		})
	}
}
