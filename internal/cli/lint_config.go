package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/config"
)

// lintConfigFlags are the flags that say what is looked for.
type lintConfigFlags struct {
	file          string
	formats       []string
	noFail        bool
	noColor       bool
	strictLabels  bool
	disablePragma bool
	threshold     string
	ignored       []string
	levels        [4][]string // by lint.Level
	registries    []string
	labels        []string
}

func (o *lintConfigFlags) add(f *pflag.FlagSet) {
	f.StringVarP(&o.file, "config", "c", "", "configuration file, in the form of .hadolint.yaml")
	f.StringArrayVarP(&o.formats, "format", "f", nil,
		"tty, json, checkstyle, codeclimate, gitlab_codeclimate, gnu, codacy, sonarqube, sarif or junit (default tty)")
	f.BoolVar(&o.noFail, "no-fail", false, "succeed whatever is found")
	f.BoolVar(&o.noColor, "no-color", false, "no colours")
	f.BoolVar(&o.strictLabels, "strict-labels", false, "report labels that the schema does not have")
	f.BoolVar(&o.disablePragma, "disable-ignore-pragma", false, "leave comments that silence rules without effect")
	f.StringVarP(&o.threshold, "failure-threshold", "t", "", "fail for findings as bad as this: error, warning, info, style, none (default info)")
	f.StringArrayVar(&o.ignored, "ignore", nil, "find nothing by this rule; replaces the configuration's list")
	for l := lint.Error; l <= lint.Style; l++ {
		f.StringArrayVar(&o.levels[l], l.String(), nil, "give this rule the level "+l.String())
	}
	f.StringArrayVar(&o.registries, "trusted-registry", nil, "images may come from here (and nowhere else); wildcards as in *.example.com")
	f.StringArrayVar(&o.labels, "require-label", nil, "`NAME[:TYPE]` of a label that images must have")
}

// config is what the flags, the environment and the file say together, and the
// file's name.
func (o *lintConfigFlags) config() (config.Config, string, error) {
	c, err := o.own()
	if err != nil {
		return c, "", err
	}
	env, err := config.FromEnv(os.Getenv)
	if err != nil {
		return c, "", fmt.Errorf("environment: %w", err)
	}
	c = c.Over(env)
	file := o.file
	if file == "" {
		dir, err := os.Getwd()
		if err != nil {
			return c, "", err
		}
		file = config.Find(dir, os.Getenv)
	}
	if file == "" {
		return c, "", nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return c, file, fmt.Errorf("read configuration: %w", err)
	}
	below, err := config.Parse(file, raw)
	return c.Over(below), file, err
}

// own is what the flags say.
func (o *lintConfigFlags) own() (config.Config, error) {
	c := config.Config{Formats: o.formats, Ignored: splitCommas(o.ignored), Registries: o.registries}
	c.NoFail, c.NoColor = ifSet(o.noFail), ifSet(o.noColor)
	c.StrictLabels, c.DisablePragma = ifSet(o.strictLabels), ifSet(o.disablePragma)
	for l := lint.Error; l <= lint.Style; l++ {
		c.Override(l, splitCommas(o.levels[l])...)
	}
	for _, label := range o.labels {
		name, kind, _ := strings.Cut(label, ":")
		if err := c.Require(name, kind); err != nil {
			return c, fmt.Errorf("--require-label: %w", err)
		}
	}
	if o.threshold != "" {
		l, err := lint.ParseLevel(o.threshold)
		if err != nil {
			return c, fmt.Errorf("--failure-threshold: %w", err)
		}
		c.Threshold = &l
	}
	return c, nil
}

func ifSet(b bool) *bool {
	if !b {
		return nil
	}
	return &b
}

func lintConfigSource(file string) string {
	if file == "" {
		return "No configuration file; the defaults are in force."
	}
	return "Configuration: " + file
}
