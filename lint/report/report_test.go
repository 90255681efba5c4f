package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/dockerfile"
)

var update = flag.Bool("update", false, "write the golden files")

var findings = []lint.Finding{
	{
		File: "a/Dockerfile", Level: lint.Error, Code: "DL3000", Also: "WorkdirRelativePath", Message: `a "quoted" <message>`,
		Range: dockerfile.Range{Start: dockerfile.Pos{Line: 2, Column: 9}, End: dockerfile.Pos{Line: 2, Column: 12}},
	},
	{
		File: "a/Dockerfile", Level: lint.Style, Code: "SC2006", Message: "an\tother",
		Range: dockerfile.Range{Start: dockerfile.Pos{Line: 3, Column: 6}, End: dockerfile.Pos{Line: 4, Column: 2}},
		Fix:   []lint.Edit{{Text: "x"}},
	},
	{File: "b", Level: lint.Info, Code: "DL1000", Message: "nothing", Range: dockerfile.Range{Start: dockerfile.Pos{Line: 1, Column: 1}, End: dockerfile.Pos{Line: 1, Column: 1}}},
}

// TestFormats holds each format to its golden file in testdata.
func TestFormats(t *testing.T) {
	o := Options{
		Version: "1", Files: []string{"a/Dockerfile", "clean", "b"},
		Lines: func(f string) []string {
			return map[string][]string{"a/Dockerfile": {"FROM a", "WORKDIR app", "\tRUN `x` \\", " y"}}[f]
		},
		Title: func(string) string { return "a title" },
	}
	for _, f := range All() {
		t.Run(f.Name, func(t *testing.T) {
			var b bytes.Buffer
			if err := f.Write(&b, findings, o); err != nil {
				t.Fatal(err)
			}
			valid(t, f.Name, b.Bytes())
			golden := filepath.Join("testdata", f.Name+".golden")
			if *update {
				if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// valid parses what is to be parsed.
func valid(t *testing.T, name string, raw []byte) {
	t.Helper()
	var v any
	switch name {
	case "json", "gitlab_codeclimate", "sonarqube", "sarif":
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Error(err)
		}
	case "checkstyle", "junit":
		if err := xml.Unmarshal(raw, new(struct{ XMLName xml.Name })); err != nil {
			t.Error(err)
		}
	}
}

// TestEmpty: nothing found is a whole document too.
func TestEmpty(t *testing.T) {
	for _, f := range All() {
		var b bytes.Buffer
		if err := f.Write(&b, nil, Options{}); err != nil {
			t.Fatal(err)
		}
		if f.Name == "json" && strings.TrimSpace(b.String()) != "[]" {
			t.Errorf("json of nothing is %q", b.String())
		}
		valid(t, f.Name, b.Bytes())
	}
}

func TestPath(t *testing.T) {
	var b bytes.Buffer
	f, err := Find("gnu")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(&b, findings[:1], Options{Path: "other"}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "mica:other:2:9: DL3000 error: ") {
		t.Errorf("got %s", b.String())
	}
	if _, err := Find("pdf"); err == nil {
		t.Error("there is a format pdf")
	}
}
