package report

import (
	"io"
	"strings"

	"github.com/mica-build/mica/lint"
)

// sarif is version 2.1.0.
// Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
func sarif(w io.Writer, findings []lint.Finding, o Options) error {
	rules, index := sarifRules(findings, o)
	results := make([]any, 0, len(findings))
	for _, f := range findings {
		results = append(results, map[string]any{
			"ruleId": f.Code, "ruleIndex": index[f.Code], "level": sarifLevel(f.Level),
			"message":   map[string]string{"text": message(f)},
			"locations": []any{map[string]any{"physicalLocation": sarifPlace(f)}},
		})
	}
	driver := map[string]any{
		"name": o.Tool, "informationUri": "https://github.com/mica-build/mica", "rules": rules,
	}
	if o.Version != "" {
		driver["version"] = o.Version
	}
	return encode(w, map[string]any{
		"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"runs": []any{map[string]any{
			"tool": map[string]any{"driver": driver}, "results": results,
			"columnKind": "unicodeCodePoints", "defaultSourceLanguage": "dockerfile",
		}},
	}, "\n")
}

// sarifRules are the rules that found something, each once.
func sarifRules(findings []lint.Finding, o Options) ([]any, map[string]int) {
	rules, index := []any{}, map[string]int{}
	for _, f := range findings {
		if _, ok := index[f.Code]; ok {
			continue
		}
		index[f.Code] = len(rules)
		r := map[string]any{"id": f.Code, "defaultConfiguration": map[string]string{"level": sarifLevel(f.Level)}}
		if o.Title != nil && o.Title(f.Code) != "" {
			r["shortDescription"] = map[string]string{"text": o.Title(f.Code)}
		}
		rules = append(rules, r)
	}
	return rules, index
}

func sarifPlace(f lint.Finding) map[string]any {
	language := "dockerfile"
	if strings.HasPrefix(f.Code, "SC") {
		language = "sh"
	}
	from, to := f.Range.Start, f.Range.End
	if to == from {
		to.Column++
	}
	return map[string]any{
		"artifactLocation": map[string]string{"uri": strings.ReplaceAll(f.File, `\`, "/")},
		"region": map[string]any{
			"startLine": from.Line, "startColumn": from.Column, "endLine": to.Line, "endColumn": to.Column, "sourceLanguage": language,
		},
	}
}

func sarifLevel(l lint.Level) string {
	switch l {
	case lint.Error:
		return "error"
	case lint.Warning:
		return "warning"
	}
	return "note"
}
