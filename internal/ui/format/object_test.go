package format

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type object struct {
	ID    string `json:"Id"`
	Size  int64
	Inner struct {
		Tags []string `json:"RepoTags"`
	}
}

func newObject() object {
	o := object{ID: "sha256:1", Size: 12345678901}
	o.Inner.Tags = []string{"a<b", "c"}
	return o
}

func TestObjects(t *testing.T) {
	for _, tt := range []struct{ name, spec, want string }{
		{"go field", "{{.ID}}", "sha256:1\n"},
		{"json field", "{{.Id}}", "sha256:1\n"},
		{"number from json", "{{.Id}} {{.Size}}", "sha256:1 12345678901\n"},
		{"nested json field", "{{index .Inner.RepoTags 0}}", "a<b\n"},
		{"range", "{{range .Inner.Tags}}{{.}};{{end}}", "a<b;c;\n"},
		{"json function", "{{json .Inner}}", `{"RepoTags":["a<b","c"]}` + "\n"},
		{"json", "json", `[{"Id":"sha256:1","Size":12345678901,"Inner":{"RepoTags":["a<b","c"]}}]` + "\n"},
		{"default", "", `[
    {
        "Id": "sha256:1",
        "Size": 12345678901,
        "Inner": {
            "RepoTags": [
                "a<b",
                "c"
            ]
        }
    }
]
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := Objects(&b, tt.spec, []object{newObject()}); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestObjectsOfNothing(t *testing.T) {
	var b strings.Builder
	if err := Objects[object](&b, "", nil); err != nil || b.String() != "[]\n" {
		t.Errorf("%q, %v; want []", b.String(), err)
	}
}

func TestObjectsErrors(t *testing.T) {
	for _, spec := range []string{"{{.Nope}}", "{{.Inner.Nope}}", "{{"} {
		var b strings.Builder
		if err := Objects(&b, spec, []object{newObject()}); err == nil {
			t.Errorf("%s: no error, printed %q", spec, b.String())
		}
	}
}

func TestObject(t *testing.T) {
	var b strings.Builder
	if err := Object(&b, "json", newObject().Inner); err != nil {
		t.Fatal(err)
	}
	if want := `{"RepoTags":["a<b","c"]}` + "\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}
