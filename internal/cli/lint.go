package cli

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/checks"
	"github.com/mica-build/mica/lint/config"
	lintreport "github.com/mica-build/mica/lint/report"
	"github.com/mica-build/mica/lint/rules"
	"github.com/mica-build/mica/lint/script"
)

type lintOptions struct {
	lintConfigFlags
	outputs    []string
	reportPath string
	fix, diff  bool
	unused     bool
	verbose    bool
}

func newLintCmd(a *app) *cobra.Command {
	var o lintOptions
	cmd := &cobra.Command{
		Use:   "lint [OPTIONS] [FILE|DIR|-...]",
		Short: "Find what is wrong, or will be, in Dockerfiles",
		Long: "Find what is wrong, or will be, in Dockerfiles: hadolint's rules, BuildKit's checks and the shell inside RUN.\n" +
			"Without an argument that is the Dockerfile of this directory. Files of hadolint's configuration, its variables\n" +
			"and its comments in Dockerfiles are in force.",
		RunE: func(_ *cobra.Command, args []string) error { return runLint(a, o, args) },
	}
	f := cmd.Flags()
	o.lintConfigFlags.add(f)
	f.StringArrayVarP(&o.outputs, "output", "o", nil, "write to a file; the n-th is for the n-th --format")
	f.StringVar(&o.reportPath, "file-path-in-report", "", "name of the file in the report")
	f.BoolVar(&o.fix, "fix", false, "mend what can be mended safely; shows the difference")
	f.BoolVar(&o.diff, "diff", false, "show what --fix would change, and change nothing")
	f.BoolVar(&o.unused, "unused", false, "report comments that silence nothing")
	f.BoolVarP(&o.verbose, "verbose", "V", false, "say which configuration is in force")
	cmd.AddCommand(newLintRulesCmd(a))
	return cmd
}

// lintRules are all there are.
func lintRules() []lint.Rule { return slices.Concat(rules.All(), checks.All(), script.All()) }

func runLint(a *app, o lintOptions, args []string) error {
	c, file, err := o.config()
	if err != nil {
		return err
	}
	if o.verbose {
		fmt.Fprintln(a.stderr, lintConfigSource(file))
	}
	formats, err := lintFormats(c)
	if err != nil {
		return err
	}
	inputs, err := a.lintInputs(args)
	if err != nil {
		return err
	}
	l := lint.Linter{Rules: lintRules(), Settings: c.Settings()}
	l.Settings.Unused = o.unused
	if o.fix || o.diff {
		return a.lintFix(&l, inputs, o)
	}
	var findings []lint.Finding
	for _, in := range inputs {
		findings = append(findings, l.Run(in)...)
	}
	if err := a.lintReport(formats, findings, inputs, c, o); err != nil {
		return err
	}
	return lintVerdict(c, formats, findings)
}

func lintFormats(c config.Config) ([]lintreport.Format, error) {
	names := c.Formats
	if len(names) == 0 {
		names = []string{"tty"}
	}
	var out []lintreport.Format
	for _, n := range names {
		f, err := lintreport.Find(n)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// lintReport writes each format to its file, or to standard output.
func (a *app) lintReport(formats []lintreport.Format, findings []lint.Finding, inputs []lint.Input, c config.Config, o lintOptions) error {
	lines := map[string][]string{}
	ro := lintreport.Options{
		Path: o.reportPath, Version: version, Title: lintTitle,
		Lines: func(file string) []string { return lines[file] },
	}
	for _, in := range inputs {
		ro.Files = append(ro.Files, in.Name)
		name := in.Name
		if o.reportPath != "" {
			name = o.reportPath
		}
		lines[name] = strings.Split(strings.TrimPrefix(string(in.Raw), "\xef\xbb\xbf"), "\n")
	}
	for i, f := range formats {
		if i < len(o.outputs) {
			var b bytes.Buffer
			if err := f.Write(&b, findings, ro); err != nil {
				return err
			}
			if err := os.WriteFile(o.outputs[i], b.Bytes(), 0o666); err != nil {
				return fmt.Errorf("write report: %w", err)
			}
			continue
		}
		ro.Color = isTerminal(a.stdout) && (c.NoColor == nil || !*c.NoColor)
		if err := f.Write(a.stdout, findings, ro); err != nil {
			return err
		}
	}
	return nil
}

// lintVerdict is exit code 1 if a finding is as bad as the threshold.
func lintVerdict(c config.Config, formats []lintreport.Format, findings []lint.Finding) error {
	if c.NoFail != nil && *c.NoFail || slices.ContainsFunc(formats, func(f lintreport.Format) bool { return f.Succeeds }) {
		return nil
	}
	threshold := lint.Info
	if c.Threshold != nil {
		threshold = *c.Threshold
	}
	for _, f := range findings {
		if f.Code == lint.ParseCode || f.Level.Reaches(threshold) {
			return withCode(1, nil)
		}
	}
	return nil
}

// lintTitle is what a rule is about, by its code.
func lintTitle(code string) string {
	for _, r := range lintRules() {
		if r.Code == code {
			return r.Title
		}
	}
	return ""
}
