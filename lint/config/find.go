package config

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/mica-build/mica/lint"
)

// Find is the configuration file in force: the first there is of those in the
// working directory, the user's configuration and the home directory. It is
// empty if there is none.
func Find(dir string, env func(string) string) string {
	home := env("HOME")
	xdg := env("XDG_CONFIG_HOME")
	if xdg == "" && home != "" {
		xdg = filepath.Join(home, ".config")
	}
	var candidates []string
	add := func(dir string, names ...string) {
		for _, n := range names {
			if dir != "" {
				candidates = append(candidates, filepath.Join(dir, n))
			}
		}
	}
	add(dir, ".hadolint.yaml", ".hadolint.yml")
	add(xdg, "hadolint.yaml", "hadolint.yml")
	if home != "" {
		own := []string{"hadolint.yaml", "hadolint.yml", "config.yaml", "config.yml"}
		add(filepath.Join(home, ".hadolint"), own...)
		add(filepath.Join(home, "hadolint"), own...)
		add(home, ".hadolint.yaml", ".hadolint.yml")
	}
	for _, c := range candidates {
		if fi, err := os.Stat(c); err == nil && fi.Mode().IsRegular() {
			return c
		}
	}
	return ""
}

// FromEnv reads the HADOLINT_ variables and NO_COLOR.
func FromEnv(env func(string) string) (Config, error) {
	var c Config
	c.NoFail = boolean(env("HADOLINT_NOFAIL"))
	c.StrictLabels = boolean(env("HADOLINT_STRICT_LABELS"))
	c.DisablePragma = boolean(env("HADOLINT_DISABLE_IGNORE_PRAGMA"))
	if env("NO_COLOR") != "" {
		yes := true
		c.NoColor = &yes
	}
	c.Formats = list(env("HADOLINT_FORMAT"))
	c.Ignored = list(env("HADOLINT_IGNORE"))
	c.Registries = list(env("HADOLINT_TRUSTED_REGISTRIES"))
	for _, l := range []lint.Level{lint.Error, lint.Warning, lint.Info, lint.Style} {
		c.Override(l, list(env("HADOLINT_OVERRIDE_"+strings.ToUpper(l.String())))...)
	}
	for _, label := range list(env("HADOLINT_REQUIRE_LABELS")) {
		name, kind, _ := strings.Cut(label, ":")
		if err := c.Require(name, kind); err != nil {
			return c, err
		}
	}
	if t := env("HADOLINT_FAILURE_THRESHOLD"); t != "" {
		l, err := lint.ParseLevel(t)
		if err != nil {
			return c, err
		}
		c.Threshold = &l
	}
	return c, nil
}

func boolean(s string) *bool {
	if s == "" {
		return nil
	}
	yes := false
	switch strings.ToLower(s) {
	case "1", "y", "on", "true", "yes":
		yes = true
	}
	return &yes
}

func list(s string) []string {
	var out []string
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			out = append(out, word)
		}
	}
	return out
}
