package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/lint"
)

// A Config is what one place says. Nil and empty mean that it says nothing.
type Config struct {
	NoFail, NoColor, StrictLabels, DisablePragma *bool

	Formats    []string
	Threshold  *lint.Level
	Ignored    []string
	Levels     map[string]lint.Level
	Registries []string
	Labels     map[string]lint.LabelType
}

// file is the form of a .hadolint.yaml.
type file struct {
	Threshold     string              `yaml:"failure-threshold"`
	Format        oneOrMany           `yaml:"format"`
	Ignored       []string            `yaml:"ignored"`
	LabelSchema   map[string]string   `yaml:"label-schema"`
	NoColor       *bool               `yaml:"no-color"`
	NoFail        *bool               `yaml:"no-fail"`
	Override      map[string][]string `yaml:"override"`
	StrictLabels  *bool               `yaml:"strict-labels"`
	DisablePragma *bool               `yaml:"disable-ignore-pragma"`
	Registries    []string            `yaml:"trustedRegistries"`
}

// oneOrMany is a word or a list of words.
type oneOrMany []string

// UnmarshalYAML takes both forms.
func (o *oneOrMany) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*o = []string{n.Value}
		return nil
	}
	return n.Decode((*[]string)(o))
}

// Parse reads a configuration file; name is for errors, which have the line.
func Parse(name string, raw []byte) (Config, error) {
	var f file
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%s: %w: %w", name, errs.ErrInvalid, err)
	}
	c := Config{
		NoFail: f.NoFail, NoColor: f.NoColor, StrictLabels: f.StrictLabels, DisablePragma: f.DisablePragma,
		Formats: f.Format, Ignored: f.Ignored, Registries: f.Registries,
	}
	if err := c.fill(f); err != nil {
		return Config{}, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func (c *Config) fill(f file) error {
	if f.Threshold != "" {
		l, err := lint.ParseLevel(f.Threshold)
		if err != nil {
			return fmt.Errorf("failure-threshold: %w", err)
		}
		c.Threshold = &l
	}
	for _, level := range slices.Sorted(maps.Keys(f.Override)) {
		l, err := lint.ParseLevel(level)
		if err != nil {
			return fmt.Errorf("override: %w", err)
		}
		c.Override(l, f.Override[level]...)
	}
	for label, kind := range f.LabelSchema {
		if err := c.Require(label, kind); err != nil {
			return fmt.Errorf("label-schema: %w", err)
		}
	}
	return nil
}

// Override gives rules another level.
func (c *Config) Override(l lint.Level, codes ...string) {
	if c.Levels == nil && len(codes) > 0 {
		c.Levels = map[string]lint.Level{}
	}
	for _, code := range codes {
		c.Levels[strings.TrimSpace(code)] = l
	}
}

// Require demands a label; an empty kind is text.
func (c *Config) Require(label, kind string) error {
	if kind == "" {
		kind = string(lint.LabelText)
	}
	if !slices.Contains(lint.LabelTypes(), lint.LabelType(kind)) {
		return fmt.Errorf("type %q of label %s is none of %v: %w", kind, label, lint.LabelTypes(), errs.ErrInvalid)
	}
	if c.Labels == nil {
		c.Labels = map[string]lint.LabelType{}
	}
	c.Labels[label] = lint.LabelType(kind)
	return nil
}

// Over is what c and below say together: c where it says something.
func (c Config) Over(below Config) Config {
	pick := func(a, b *bool) *bool {
		if a != nil {
			return a
		}
		return b
	}
	c.NoFail, c.NoColor = pick(c.NoFail, below.NoFail), pick(c.NoColor, below.NoColor)
	c.StrictLabels, c.DisablePragma = pick(c.StrictLabels, below.StrictLabels), pick(c.DisablePragma, below.DisablePragma)
	if len(c.Formats) == 0 {
		c.Formats = below.Formats
	}
	if c.Threshold == nil {
		c.Threshold = below.Threshold
	}
	if len(c.Ignored) == 0 {
		c.Ignored = below.Ignored
	}
	if len(c.Registries) == 0 {
		c.Registries = below.Registries
	}
	if len(c.Labels) == 0 {
		c.Labels = below.Labels
	}
	levels := maps.Clone(below.Levels)
	if levels == nil {
		levels = c.Levels
	} else {
		maps.Copy(levels, c.Levels)
	}
	c.Levels = levels
	return c
}

// Settings are what a Linter makes of it.
func (c Config) Settings() lint.Settings {
	s := lint.Settings{Levels: c.Levels, Registries: c.Registries, Labels: c.Labels, Ignored: map[string]bool{}}
	s.StrictLabels = c.StrictLabels != nil && *c.StrictLabels
	s.NoPragmas = c.DisablePragma != nil && *c.DisablePragma
	for _, code := range c.Ignored {
		s.Ignored[code] = true
	}
	return s
}
