package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/mica-build/mica/lint"
)

type jsonFinding struct {
	File      string     `json:"file"`
	Line      int        `json:"line"`
	Column    int        `json:"column"`
	EndLine   int        `json:"endLine"`
	EndColumn int        `json:"endColumn"`
	Level     lint.Level `json:"-"`
	LevelName string     `json:"level"`
	Code      string     `json:"code"`
	Also      string     `json:"also,omitempty"`
	Message   string     `json:"message"`
	Fixable   bool       `json:"fixable,omitempty"`
}

func jsonList(w io.Writer, findings []lint.Finding, _ Options) error {
	list := make([]jsonFinding, len(findings))
	for i, f := range findings {
		list[i] = jsonFinding{
			File: f.File, Line: f.Range.Start.Line, Column: f.Range.Start.Column,
			EndLine: f.Range.End.Line, EndColumn: f.Range.End.Column,
			LevelName: f.Level.String(), Code: f.Code, Also: f.Also, Message: f.Message, Fixable: len(f.Fix) > 0,
		}
	}
	return encode(w, list, "\n")
}

func encode(w io.Writer, v any, end string) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(raw, end...))
	return err
}

// codacy is one object for each finding.
func codacy(w io.Writer, findings []lint.Finding, _ Options) error {
	for _, f := range findings {
		err := encode(w, map[string]any{
			"filename": f.File, "patternId": f.Code, "message": message(f), "line": f.Range.Start.Line,
		}, "\n")
		if err != nil {
			return err
		}
	}
	return nil
}

// sonarqube is the generic issue format.
// Source: https://docs.sonarsource.com/sonarqube-server/analyzing-source-code/importing-external-issues/generic-issue-import-format
func sonarqube(w io.Writer, findings []lint.Finding, o Options) error {
	severity := map[lint.Level]string{lint.Error: "CRITICAL", lint.Warning: "MAJOR", lint.Info: "MINOR", lint.Style: "INFO"}
	issues := make([]any, 0, len(findings))
	for _, f := range findings {
		kind := "CODE_SMELL"
		if f.Level == lint.Error {
			kind = "BUG"
		}
		from, to := f.Range.Start, f.Range.End
		if to == from {
			to.Column++
		}
		issues = append(issues, map[string]any{
			"engineId": o.Tool, "ruleId": f.Code, "severity": severity[f.Level], "type": kind,
			"primaryLocation": map[string]any{
				"message": message(f), "filePath": f.File,
				"textRange": map[string]int{
					"startLine": from.Line, "endLine": to.Line, "startColumn": from.Column - 1, "endColumn": to.Column - 1,
				},
			},
		})
	}
	return encode(w, map[string]any{"issues": issues}, "\n")
}

// An issue is one of Code Climate's.
// Source: https://github.com/codeclimate/platform/blob/master/spec/analyzers/SPEC.md
type issue struct {
	Type        string   `json:"type"`
	Fingerprint string   `json:"fingerprint,omitempty"`
	CheckName   string   `json:"check_name"`
	Description string   `json:"description"`
	Categories  []string `json:"categories"`
	Location    struct {
		Path  string `json:"path"`
		Lines struct {
			Begin int `json:"begin"`
			End   int `json:"end"`
		} `json:"lines"`
	} `json:"location"`
	Severity string `json:"severity"`
}

func newIssue(f lint.Finding) issue {
	severity := map[lint.Level]string{lint.Error: "blocker", lint.Warning: "major", lint.Info: "info", lint.Style: "minor"}
	i := issue{
		Type: "issue", CheckName: f.Code, Description: message(f), Categories: []string{"Bug Risk"}, Severity: severity[f.Level],
	}
	i.Location.Path = f.File
	i.Location.Lines.Begin, i.Location.Lines.End = f.Range.Start.Line, f.Range.End.Line
	return i
}

// codeclimate ends each issue with a NUL byte.
func codeclimate(w io.Writer, findings []lint.Finding, _ Options) error {
	for _, f := range findings {
		if err := encode(w, newIssue(f), "\x00"); err != nil {
			return err
		}
	}
	return nil
}

// gitlab is a list of the same issues with fingerprints, by which GitLab sees
// what is new: they leave out the line, which moves.
func gitlab(w io.Writer, findings []lint.Finding, _ Options) error {
	list := make([]issue, 0, len(findings))
	seen := map[string]int{}
	for _, f := range findings {
		i := newIssue(f)
		key := f.File + "\x00" + f.Code + "\x00" + f.Message
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", key, seen[key]))
		seen[key]++
		i.Fingerprint = hex.EncodeToString(sum[:20])
		list = append(list, i)
	}
	return encode(w, list, "\n")
}
