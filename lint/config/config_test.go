package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/lint"
)

func ptr[T any](v T) *T { return &v }

func TestParse(t *testing.T) {
	tests := []struct {
		name, text string
		want       Config
		wantErr    string
	}{
		{"empty", "", Config{}, ""},
		{"all", `
failure-threshold: warning
format: json
ignored: [DL3000, SC1010]
label-schema:
  author: text
  built: rfc3339
  any: ""
no-color: true
no-fail: false
override:
  error: [DL3001]
  info:
    - DL3002
strict-labels: true
disable-ignore-pragma: true
trustedRegistries:
  - docker.io
  - "*.gcr.io"
`, Config{
			NoColor: ptr(true), NoFail: ptr(false), StrictLabels: ptr(true), DisablePragma: ptr(true),
			Threshold: ptr(lint.Warning), Formats: []string{"json"}, Ignored: []string{"DL3000", "SC1010"},
			Levels:     map[string]lint.Level{"DL3001": lint.Error, "DL3002": lint.Info},
			Labels:     map[string]lint.LabelType{"author": "text", "built": "rfc3339", "any": "text"},
			Registries: []string{"docker.io", "*.gcr.io"},
		}, ""},
		{"formats", "format: [tty, sarif]", Config{Formats: []string{"tty", "sarif"}}, ""},
		{"unknown key", "ignored: []\nignore: [DL1]\n", Config{}, "line 2"},
		{"unknown level", "override:\n  bad: [DL1]\n", Config{}, `level "bad"`},
		{"unknown type", "label-schema:\n  a: colour\n", Config{}, `type "colour"`},
		{"no YAML", "a: [", Config{}, "x.yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse("x.yaml", []byte(tt.text))
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Ignored) == 0 {
				got.Ignored = nil
			}
			if diff := cmp.Diff(tt.want, got, cmp.Transformer("slice", func(o []string) []string { return append([]string(nil), o...) })); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOver(t *testing.T) {
	near := Config{Ignored: []string{"A"}, Levels: map[string]lint.Level{"X": lint.Error}}
	far := Config{Ignored: []string{"B"}, NoFail: ptr(true), Levels: map[string]lint.Level{"X": lint.Info, "Y": lint.Style}}
	want := Config{Ignored: []string{"A"}, NoFail: ptr(true), Levels: map[string]lint.Level{"X": lint.Error, "Y": lint.Style}}
	if diff := cmp.Diff(want, near.Over(far)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestFromEnv(t *testing.T) {
	env := map[string]string{
		"HADOLINT_NOFAIL": "Yes", "HADOLINT_OVERRIDE_WARNING": "DL1, DL2", "HADOLINT_IGNORE": "DL3",
		"HADOLINT_TRUSTED_REGISTRIES": "a,b", "HADOLINT_REQUIRE_LABELS": "x:url,y", "HADOLINT_FAILURE_THRESHOLD": "error",
		"HADOLINT_FORMAT": "json,tty", "NO_COLOR": "1",
	}
	got, err := FromEnv(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		NoFail: ptr(true), NoColor: ptr(true), Levels: map[string]lint.Level{"DL1": lint.Warning, "DL2": lint.Warning},
		Ignored: []string{"DL3"}, Registries: []string{"a", "b"}, Threshold: ptr(lint.Error), Formats: []string{"json", "tty"},
		Labels: map[string]lint.LabelType{"x": "url", "y": "text"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestFind: the first of the places counts.
func TestFind(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	env := func(k string) string { return map[string]string{"HOME": home}[k] }
	if got := Find(dir, env); got != "" {
		t.Errorf("found %s where there is none", got)
	}
	for _, name := range []string{filepath.Join(home, ".hadolint.yaml"), filepath.Join(home, ".config", "hadolint.yml"), filepath.Join(dir, ".hadolint.yml")} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := Find(dir, env); got != name {
			t.Errorf("found %s, want %s", got, name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("override:\n  error: [DL3001]\nformat: json\nlabel-schema: {a: url}\n"))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		if c, err := Parse("f", raw); err == nil {
			c.Over(c).Settings()
		}
	})
}
