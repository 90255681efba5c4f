package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"text/template"
	"unicode"

	"github.com/docker/cli/templates"
)

// Rows prints rows to w as spec says: "" and "table" are the default table,
// whose row template is table; "table TEMPLATE" is a table of one's own; "json"
// is one object for each line; anything else is a template for each row.
// A template that does not parse, or names a field that is not there, is an
// error, and nothing is printed.
func Rows[T any](w io.Writer, spec, table string, rows []T) error {
	if spec == "json" {
		return jsonLines(w, rows)
	}
	text, isTable := rowTemplate(spec, table)
	t, err := templates.Parse(text)
	if err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	var body bytes.Buffer
	for _, r := range rows {
		if err := t.Execute(&body, r); err != nil {
			return fmt.Errorf("--format: %w", err)
		}
		body.WriteByte('\n')
	}
	if !isTable {
		_, err := body.WriteTo(w)
		return err
	}
	return writeTable(w, t, reflect.TypeFor[T](), &body)
}

// rowTemplate is the template that spec asks for, and whether it is a table's.
func rowTemplate(spec, table string) (text string, isTable bool) {
	if spec == "" || spec == "table" {
		return table, true
	}
	text, isTable = strings.CutPrefix(spec, "table ")
	return unescape(text), isTable
}

// unescape reads \t and \n as shells leave them in a quoted argument.
func unescape(s string) string {
	return strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(strings.Trim(s, " "))
}

// writeTable prints the headings and body with docker's column widths.
func writeTable(w io.Writer, t *template.Template, row reflect.Type, body *bytes.Buffer) error {
	tw := tabwriter.NewWriter(w, 10, 1, 3, ' ', 0)
	if err := t.Funcs(templates.HeaderFunctions).Execute(tw, headings(row)); err != nil {
		return fmt.Errorf("--format: headings: %w", err)
	}
	if _, err := tw.Write([]byte{'\n'}); err != nil {
		return err
	}
	if _, err := body.WriteTo(tw); err != nil {
		return err
	}
	return tw.Flush()
}

// headings maps the fields of a row to what stands above them.
func headings(row reflect.Type) map[string]string {
	m := map[string]string{}
	for f := range row.Fields() {
		if !f.IsExported() {
			continue
		}
		h, ok := f.Tag.Lookup("header")
		if !ok {
			h = words(f.Name)
		}
		m[f.Name] = h
	}
	return m
}

// words writes a field's name as a heading: "LastUsed" is "LAST USED".
func words(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) && !unicode.IsUpper(rune(name[i-1])) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

func jsonLines[T any](w io.Writer, rows []T) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, r := range rows {
		if err := e.Encode(r); err != nil {
			return fmt.Errorf("--format json: %w", err)
		}
	}
	return nil
}
