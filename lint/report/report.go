package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/lint"
)

// Options say how to write. The zero value works.
type Options struct {
	// Color marks levels and carets with colours of the terminal.
	Color bool
	// Path replaces the names of files, for reports on a file that has another
	// place where the report is read.
	Path string
	// Lines gives the lines of a file, to show them; nil shows none.
	Lines func(file string) []string
	// Tool and Version name the linter in formats that ask for it.
	Tool, Version string
	// Files are all that were looked at, in order, for formats that list those
	// without findings too.
	Files []string
	// Title explains a code; nil is nothing.
	Title func(code string) string
}

// A Format writes findings.
type Format struct {
	Name  string
	write func(io.Writer, []lint.Finding, Options) error
	// Succeeds is set for formats whose readers decide themselves what is bad: a
	// run in them does not fail because of findings.
	Succeeds bool
}

// All are the formats, the default first.
func All() []Format {
	return []Format{
		{Name: "tty", write: tty},
		{Name: "json", write: jsonList},
		{Name: "checkstyle", write: checkstyle},
		{Name: "codeclimate", write: codeclimate, Succeeds: true},
		{Name: "gitlab_codeclimate", write: gitlab},
		{Name: "gnu", write: gnu},
		{Name: "codacy", write: codacy, Succeeds: true},
		{Name: "sonarqube", write: sonarqube},
		{Name: "sarif", write: sarif},
		{Name: "junit", write: junit},
	}
}

// Find is the format of a name; gitlab is short for gitlab_codeclimate.
func Find(name string) (Format, error) {
	var names []string
	for _, f := range All() {
		if f.Name == name || name == "gitlab" && f.Name == "gitlab_codeclimate" {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("format %q is none of %s: %w", name, strings.Join(names, ", "), errs.ErrInvalid)
}

// Write writes all findings at once.
func (f Format) Write(w io.Writer, findings []lint.Finding, o Options) error {
	if o.Tool == "" {
		o.Tool = "mica"
	}
	if o.Path != "" {
		renamed := make([]lint.Finding, len(findings))
		for i, x := range findings {
			x.File = o.Path
			renamed[i] = x
		}
		findings = renamed
	}
	return f.write(w, findings, o)
}

// message is what a finding says, with its other name.
func message(f lint.Finding) string {
	if f.Also == "" {
		return f.Message
	}
	return f.Message + " (" + f.Also + ")"
}

// byFile puts findings together by file, in the order of Options.Files, then as
// they come.
func byFile(findings []lint.Finding, o Options) (files []string, of map[string][]lint.Finding) {
	of = map[string][]lint.Finding{}
	if o.Path == "" {
		files = append(files, o.Files...)
	}
	known := map[string]bool{}
	for _, f := range files {
		known[f] = true
	}
	for _, f := range findings {
		if !known[f.File] {
			known[f.File] = true
			files = append(files, f.File)
		}
		of[f.File] = append(of[f.File], f)
	}
	return files, of
}
