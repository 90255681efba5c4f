package report

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/mica-build/mica/lint"
)

type checkstyleFile struct {
	Name   string            `xml:"name,attr"`
	Errors []checkstyleError `xml:"error"`
}

type checkstyleError struct {
	Line     int    `xml:"line,attr"`
	Column   int    `xml:"column,attr"`
	Severity string `xml:"severity,attr"`
	Message  string `xml:"message,attr"`
	Source   string `xml:"source,attr"`
}

// checkstyle is version 4.3; it has no level below info.
func checkstyle(w io.Writer, findings []lint.Finding, o Options) error {
	var doc struct {
		XMLName xml.Name         `xml:"checkstyle"`
		Version string           `xml:"version,attr"`
		Files   []checkstyleFile `xml:"file"`
	}
	doc.Version = "4.3"
	files, of := byFile(findings, o)
	for _, name := range files {
		file := checkstyleFile{Name: name}
		for _, f := range of[name] {
			file.Errors = append(file.Errors, checkstyleError{
				f.Range.Start.Line, f.Range.Start.Column, severityName(f.Level), message(f), f.Code,
			})
		}
		doc.Files = append(doc.Files, file)
	}
	return writeXML(w, doc)
}

func severityName(l lint.Level) string {
	if l == lint.Style {
		return "info"
	}
	return l.String()
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name      string        `xml:"name,attr"`
	ClassName string        `xml:"classname,attr"`
	File      string        `xml:"file,attr"`
	Failure   *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// junit is a suite for each file and a failed case for each finding; a file
// without any is one case that passed.
func junit(w io.Writer, findings []lint.Finding, o Options) error {
	var doc struct {
		XMLName xml.Name     `xml:"testsuites"`
		Name    string       `xml:"name,attr"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	doc.Name = o.Tool + " lint"
	files, of := byFile(findings, o)
	for _, name := range files {
		suite := junitSuite{Name: name, Tests: max(len(of[name]), 1), Failures: len(of[name])}
		for _, f := range of[name] {
			suite.Cases = append(suite.Cases, junitCase{
				Name: fmt.Sprintf("%s line %d", f.Code, f.Range.Start.Line), ClassName: f.Code, File: name,
				Failure: &junitFailure{f.Level.String(), message(f), fmt.Sprintf("%s:%d:%d: %s", name, f.Range.Start.Line, f.Range.Start.Column, message(f))},
			})
		}
		if len(suite.Cases) == 0 {
			suite.Cases = []junitCase{{Name: name, ClassName: "lint", File: name}}
		}
		doc.Suites = append(doc.Suites, suite)
	}
	return writeXML(w, doc)
}

func writeXML(w io.Writer, doc any) error {
	raw, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, raw)
	return err
}
