package pages

import (
	"slices"
	"strings"
	"testing"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/checks"
	"github.com/mica-build/mica/lint/config"
	"github.com/mica-build/mica/lint/rules"
	"github.com/mica-build/mica/lint/script"
)

var all = slices.Concat(rules.All(), checks.All(), script.All())

// block is what stands between ```kind and ``` in a page.
func block(page, kind string) string {
	_, rest, ok := strings.Cut(page, "```"+kind+"\n")
	if !ok {
		return ""
	}
	text, _, _ := strings.Cut(rest, "\n```")
	return text
}

// input is an example as the linter gets it; what a rule may know beside the file
// is the same for all examples.
func input(text string) lint.Input {
	return lint.Input{
		Name: "Dockerfile", Raw: []byte(text), Ignore: []string{"secret.env"},
		Images: func(string) (lint.Image, bool) {
			return lint.Image{OS: "linux", Architecture: "amd64", Env: []string{"PATH=/bin"}}, true
		},
	}
}

// TestExamples holds the examples of each page to its rule.
func TestExamples(t *testing.T) {
	for _, r := range all {
		t.Run(r.Code, func(t *testing.T) {
			page := Page(r.Code)
			bad, good := block(page, "dockerfile bad"), block(page, "dockerfile good")
			if bad == "" || good == "" {
				t.Fatalf("lint/pages/%s.md lacks an example, or is not there", r.Code)
			}
			c, err := config.Parse(r.Code, []byte(block(page, "yaml settings")))
			if err != nil {
				t.Fatal(err)
			}
			l := lint.Linter{Rules: []lint.Rule{r}, Settings: c.Settings()}
			if got := l.Run(input(bad)); len(got) == 0 {
				t.Errorf("nothing found in:\n%s", bad)
			}
			if got := l.Run(input(good)); len(got) > 0 {
				t.Errorf("found %v in:\n%s", got, good)
			}
		})
	}
}

// TestListed finds pages of rules that are not there, and rules listed twice.
func TestListed(t *testing.T) {
	var codes []string
	for _, r := range all {
		codes = append(codes, r.Code)
		if r.Title == "" || r.Check == nil {
			t.Errorf("%s has no title or no check", r.Code)
		}
	}
	slices.Sort(codes)
	if n := len(codes); n != len(slices.Compact(codes)) {
		t.Error("a code is listed twice")
	}
	entries, err := files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if code := strings.TrimSuffix(e.Name(), ".md"); !slices.Contains(codes, code) {
			t.Errorf("%s is the page of no rule", e.Name())
		}
	}
}
