package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/dockerconfig"
)

// A lookupFunc is os.LookupEnv or a test's replacement.
type lookupFunc func(key string) (string, bool)

// runEnv is the environment that --env-file and --env ask for, files first, and
// docker's proxies where neither names them.
func runEnv(files, list []string, p dockerconfig.Proxy, env lookupFunc) ([]string, error) {
	out, err := readEnv(files, list, env)
	if err != nil {
		return nil, err
	}
	return withProxies(out, p), nil
}

// runEnvOnly is runEnv without proxies, for a further process of a container.
func runEnvOnly(files, list []string) ([]string, error) { return readEnv(files, list, os.LookupEnv) }

func readEnv(files, list []string, env lookupFunc) ([]string, error) {
	var out []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("--env-file: %w", err)
		}
		vars, err := parseEnvFile(data, env)
		if err != nil {
			return nil, fmt.Errorf("--env-file %s: %w", f, err)
		}
		out = append(out, vars...)
	}
	for _, s := range list {
		key, _, ok := strings.Cut(s, "=")
		if key == "" {
			return nil, fmt.Errorf("--env %q: %w: the name is missing", s, errs.ErrInvalid)
		}
		if !ok {
			value, found := env(key)
			if !found {
				continue
			}
			s = key + "=" + value
		}
		out = append(out, s)
	}
	return out, nil
}

// parseEnvFile reads lines of KEY=value, or KEY for the value the environment
// has; blank lines and lines that begin with # say nothing.
func parseEnvFile(data []byte, env lookupFunc) ([]string, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var out []string
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, max(len(data), 1)+1)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, _, ok := strings.Cut(line, "=")
		switch {
		case !utf8.ValidString(line):
			return nil, fmt.Errorf("line %d: %w: it is not UTF-8", n, errs.ErrInvalid)
		case key == "":
			return nil, fmt.Errorf("line %d: %w: the name is missing", n, errs.ErrInvalid)
		case strings.ContainsAny(key, " \t"):
			return nil, fmt.Errorf("line %d: %w: the name %q has a blank in it", n, errs.ErrInvalid, key)
		}
		if !ok {
			value, found := env(key)
			if !found {
				continue
			}
			line = key + "=" + value
		}
		out = append(out, line)
	}
	return out, lines.Err()
}

// withProxies puts the proxies of docker's config that env does not set before it.
func withProxies(env []string, p dockerconfig.Proxy) []string {
	vars := map[string]string{}
	for _, kv := range env {
		key, _, _ := strings.Cut(kv, "=")
		vars[key] = ""
	}
	own := maps.Clone(vars)
	addProxies(vars, p)
	var add []string
	for key, value := range vars {
		if _, ok := own[key]; !ok {
			add = append(add, key+"="+value)
		}
	}
	slices.Sort(add)
	return append(add, env...)
}
