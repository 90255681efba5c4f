package format

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type row struct {
	Created string `header:"CREATED"`
	ID      string `header:"IMAGE ID"`
	LastTag string
	Name    string
}

var rows = []row{
	{Created: "2 days ago", ID: "sha256:1", LastTag: "x", Name: "alpine"},
	{Created: "N/A", ID: "sha256:22", LastTag: "<none>", Name: "a/very/long/name"},
}

func TestRows(t *testing.T) {
	const table = "{{.Name}}\t{{.ID}}\t{{.Created}}"
	for _, tt := range []struct {
		name, spec string
		rows       []row
		want       string
	}{
		{
			"default", "", rows,
			"NAME               IMAGE ID    CREATED\n" +
				"alpine             sha256:1    2 days ago\n" +
				"a/very/long/name   sha256:22   N/A\n",
		},
		{"named table", "table", rows[:1], "NAME      IMAGE ID   CREATED\nalpine    sha256:1   2 days ago\n"},
		{"empty table", "", nil, "NAME      IMAGE ID   CREATED\n"},
		{"own table", `table {{.LastTag}}\t{{lower .Name}}`, rows[:1], "LAST TAG   NAME\nx          alpine\n"},
		{"template", "{{.Name}}:{{.LastTag}}", rows, "alpine:x\na/very/long/name:<none>\n"},
		{"template without rows", "{{.Name}}", nil, ""},
		{"escapes", `{{.ID}}\t{{.Name}}\n`, rows[:1], "sha256:1\talpine\n\n"},
		{"spaces around", " {{.ID}} ", rows[:1], "sha256:1\n"},
		{"json", "json", rows[1:], `{"Created":"N/A","ID":"sha256:22","LastTag":"<none>","Name":"a/very/long/name"}` + "\n"},
		{"json function", "{{json .Name}}", rows[:1], "\"alpine\"\n"},
		{"split and join", `{{join (split .Name "/") "-"}}`, rows[1:], "a-very-long-name\n"},
		{"upper, title, pad, truncate", `{{upper .Name}} {{title .Name}} [{{pad .Name 1 2}}] {{truncate .Name 3}}`, rows[:1], "ALPINE Alpine [ alpine  ] alp\n"},
		{"functions leave headings alone", `table {{truncate .ID 3}}\t{{json .Name}}`, rows[:1], "IMAGE ID   NAME\nsha        \"alpine\"\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := Rows(&b, tt.spec, table, tt.rows); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRowsErrors(t *testing.T) {
	for _, tt := range []struct{ name, spec, want string }{
		{"syntax", "{{.Name", "unclosed action"},
		{"field", "{{.Nope}}", "can't evaluate field Nope"},
		{"function", "{{nope .Name}}", `function "nope" not defined`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			err := Rows(&b, tt.spec, "{{.Name}}", rows)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if b.Len() > 0 {
				t.Errorf("printed %q", b.String())
			}
		})
	}
}
