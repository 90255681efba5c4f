package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"text/template"

	"github.com/docker/cli/templates"
)

// Objects prints things that were inspected. With spec "" it is one indented
// JSON array, with "json" one array on one line, otherwise spec is a template
// for each of them. The template sees the Go fields; where one is not there it
// sees the JSON instead, so that both {{.ID}} and {{.Id}} work.
func Objects[T any](w io.Writer, spec string, objects []T) error {
	if objects == nil {
		objects = []T{}
	}
	switch spec {
	case "":
		return writeJSON(w, objects, "    ")
	case "json":
		return writeJSON(w, objects, "")
	}
	t, err := Parse(spec)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := execute(w, t, o); err != nil {
			return err
		}
	}
	return nil
}

// Object prints one thing: with spec "json" as JSON on one line, otherwise
// through the template spec.
func Object(w io.Writer, spec string, object any) error {
	if spec == "json" {
		return writeJSON(w, object, "")
	}
	t, err := Parse(spec)
	if err != nil {
		return err
	}
	return execute(w, t, object)
}

// Parse reads a template of --format with docker's functions.
func Parse(spec string) (*template.Template, error) {
	t, err := templates.Parse(unescape(spec))
	if err != nil {
		return nil, fmt.Errorf("--format: %w", err)
	}
	return t, nil
}

// execute prints object through t and ends the line.
func execute(w io.Writer, t *template.Template, object any) error {
	var b bytes.Buffer
	err := t.Execute(&b, object)
	if err != nil {
		b.Reset()
		if fallback(&b, t, object) != nil {
			return fmt.Errorf("--format: %w", err)
		}
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(w)
	return err
}

// fallback executes t on the JSON of object.
func fallback(w io.Writer, t *template.Template, object any) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber() // sizes stay whole numbers
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	strict, err := t.Clone()
	if err != nil {
		return err
	}
	return strict.Option("missingkey=error").Execute(w, v)
}

func writeJSON(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(v)
}
