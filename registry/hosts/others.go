package hosts

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/tomlfile"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
)

// readDaemon reads docker's daemon.json: mirrors of Docker Hub, insecure registries.
func (c *Config) readDaemon(path string, source int) error {
	raw, err := read(path)
	if raw == nil || err != nil {
		return err
	}
	return c.parseDaemon(path, raw, source)
}

func (c *Config) parseDaemon(path string, raw []byte, source int) error {
	var f struct {
		Mirrors  []string `json:"registry-mirrors"`
		Insecure []string `json:"insecure-registries"`
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		return fmt.Errorf("%s: %w: %w", path, errs.ErrInvalid, err)
	}
	hub := registry{prefix: ref.DefaultDomain, source: source, from: path}
	for _, s := range f.Mirrors {
		m, err := parseMirror(s)
		if err != nil {
			return fmt.Errorf("%s: registry-mirrors: %w", path, err)
		}
		hub.mirrors = append(hub.mirrors, m)
		c.say(`registry."docker.io".mirror`, s, path)
	}
	c.registries = append(c.registries, hub)
	for _, s := range f.Insecure {
		r := registry{prefix: s, source: source, host: remote.Host{Insecure: true}, from: path}
		if p, err := netip.ParsePrefix(s); err == nil {
			r.network, r.prefix = p, ""
		}
		c.registries = append(c.registries, r)
		c.say(fmt.Sprintf("registry.%q.insecure", s), "true", path)
	}
	return nil
}

// hostsFile is containerd's hosts.toml.
type hostsFile struct {
	Server string              `toml:"server"`
	Host   map[string]hostSpec `toml:"host"`
}

type hostSpec struct {
	Capabilities []string `toml:"capabilities"`
	CA           any      `toml:"ca"`
	Client       any      `toml:"client"`
	SkipVerify   bool     `toml:"skip_verify"`
	OverridePath bool     `toml:"override_path"`
}

// readContainerd reads the directories of hosts below dir.
func (c *Config) readContainerd(dir string, source int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // not there, or not ours to read
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name(), "hosts.toml")
		raw, err := read(path)
		if err != nil {
			return err
		}
		if raw == nil {
			continue
		}
		if err := c.parseHosts(path, e.Name(), raw, source); err != nil {
			return err
		}
	}
	return nil
}

// hostTable finds the tables of hosts.toml: their order counts, and a map has none.
var hostTable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?m)^\s*\[\s*host\s*\.\s*["']([^"']+)["']\s*\]`) })

func (c *Config) parseHosts(path, name string, raw []byte, source int) error {
	var f hostsFile
	if err := tomlfile.Decode(path, raw, &f, false); err != nil {
		return err
	}
	r := registry{prefix: name, source: source, from: path}
	if name == "_default" {
		r.prefix = "*"
	}
	order := map[string]int{}
	for i, m := range hostTable().FindAllSubmatch(raw, -1) {
		order[string(m[1])] = i
	}
	var urls []string
	for u := range f.Host {
		urls = append(urls, u)
	}
	slices.SortFunc(urls, func(a, b string) int { return cmp.Or(cmp.Compare(order[a], order[b]), cmp.Compare(a, b)) })
	for _, u := range urls {
		spec := f.Host[u]
		m, err := parseMirror(u)
		if err != nil {
			return fmt.Errorf("%s: host %w", path, err)
		}
		if len(spec.Capabilities) > 0 && !slices.Contains(spec.Capabilities, "pull") {
			continue
		}
		m.tags = len(spec.Capabilities) == 0 || slices.Contains(spec.Capabilities, "resolve")
		m.path = strings.TrimPrefix(strings.TrimPrefix(m.path, "v2"), "/")
		m.host2.Insecure = m.host2.Insecure || spec.SkipVerify
		m.host2.CA = firstFile(filepath.Dir(path), spec.CA)
		m.host2.ClientCert, m.host2.ClientKey = clientFiles(filepath.Dir(path), spec.Client)
		if m.host == name {
			r.host = merge(r.host, m.host2)
			continue
		}
		r.mirrors = append(r.mirrors, m)
		c.say(fmt.Sprintf("registry.%q.mirror", name), u, path)
	}
	c.registries = append(c.registries, r)
	return nil
}

// firstFile is a file name, or the first of several, in dir.
func firstFile(dir string, v any) string {
	switch v := v.(type) {
	case string:
		if v != "" && !filepath.IsAbs(v) {
			return filepath.Join(dir, v)
		}
		return v
	case []any:
		if len(v) > 0 {
			return firstFile(dir, v[0])
		}
	}
	return ""
}

// clientFiles reads "file", ["file", …] and [["cert", "key"], …].
func clientFiles(dir string, v any) (cert, key string) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return firstFile(dir, v), ""
	}
	if pair, ok := list[0].([]any); ok && len(pair) == 2 {
		return firstFile(dir, pair[0]), firstFile(dir, pair[1])
	}
	return firstFile(dir, list[0]), ""
}

// registriesFile is podman's registries.conf, version 2.
type registriesFile struct {
	Registry []struct {
		Prefix     string `toml:"prefix"`
		Location   string `toml:"location"`
		Insecure   bool   `toml:"insecure"`
		Blocked    bool   `toml:"blocked"`
		DigestOnly bool   `toml:"mirror-by-digest-only"`
		Mirror     []struct {
			Location string `toml:"location"`
			Insecure bool   `toml:"insecure"`
			Pull     string `toml:"pull-from-mirror"`
		} `toml:"mirror"`
	} `toml:"registry"`
}

// readRegistries reads a file, or the files *.conf of a directory in their order.
func (c *Config) readRegistries(path string, source int) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil { // a file
		raw, err := read(path)
		if raw == nil || err != nil {
			return err
		}
		return c.parseRegistries(path, raw, source)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".conf" && !e.IsDir() {
			if err := c.readRegistries(filepath.Join(path, e.Name()), source); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Config) parseRegistries(path string, raw []byte, source int) error {
	var f registriesFile
	if err := tomlfile.Decode(path, raw, &f, false); err != nil {
		return err
	}
	for _, in := range f.Registry {
		prefix := cmp.Or(in.Prefix, in.Location)
		if prefix == "" {
			return fmt.Errorf("%s: a [[registry]] has neither prefix nor location: %w", path, errs.ErrInvalid)
		}
		r := registry{prefix: prefix, source: source, from: path, host: remote.Host{Insecure: in.Insecure, Blocked: in.Blocked}}
		add := func(location string, insecure, tags bool) error {
			m, err := parseMirror(location)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", path, prefix, err)
			}
			m.namespace, m.tags = false, tags
			m.host2.Insecure = m.host2.Insecure || insecure
			if !strings.HasPrefix(prefix, "*") {
				m.replaces = prefix
			}
			r.mirrors = append(r.mirrors, m)
			c.say(fmt.Sprintf("registry.%q.mirror", prefix), location, path)
			return nil
		}
		for _, m := range in.Mirror {
			if err := add(m.Location, m.Insecure, !in.DigestOnly && m.Pull != "digest-only"); err != nil {
				return err
			}
		}
		if in.Location != "" && in.Location != prefix { // where it really is
			if err := add(in.Location, in.Insecure, true); err != nil {
				return err
			}
		}
		if in.Insecure {
			c.say(fmt.Sprintf("registry.%q.insecure", prefix), "true", path)
		}
		if in.Blocked {
			c.say(fmt.Sprintf("registry.%q.blocked", prefix), "true", path)
		}
		c.registries = append(c.registries, r)
	}
	return nil
}
