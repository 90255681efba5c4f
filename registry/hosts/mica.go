package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/tomlfile"
	"github.com/mica-build/mica/registry/remote"
)

// micaFile is mica.toml.
type micaFile struct {
	Offline  *bool                   `toml:"offline"`
	TagTTL   *string                 `toml:"tag-ttl"`
	Registry map[string]micaRegistry `toml:"registry"`
}

type micaRegistry struct {
	Mirrors    []string     `toml:"mirrors"`
	Mirror     []micaMirror `toml:"mirror"`
	Insecure   bool         `toml:"insecure"`
	Blocked    bool         `toml:"blocked"`
	CA         string       `toml:"ca"`
	ClientCert string       `toml:"client-cert"`
	ClientKey  string       `toml:"client-key"`
}

type micaMirror struct {
	Location   string `toml:"location"`
	Namespace  *bool  `toml:"ns"`
	Pull       string `toml:"pull"`
	Insecure   bool   `toml:"insecure"`
	CA         string `toml:"ca"`
	ClientCert string `toml:"client-cert"`
	ClientKey  string `toml:"client-key"`
}

// maxFile bounds every file that is read.
const maxFile = 4 << 20

// read gives a file's bytes; nil if it is not there.
func read(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && !strings.HasSuffix(path, "mica.toml") {
		return nil, nil
	}
	if err == nil && len(raw) > maxFile {
		err = fmt.Errorf("%s: more than %d bytes: %w", path, maxFile, errs.ErrTooLarge)
	}
	return raw, err
}

func (c *Config) readMica(path string, source int) error {
	raw, err := read(path)
	if raw == nil || err != nil {
		return err
	}
	return c.parseMica(path, raw, source)
}

func (c *Config) parseMica(path string, raw []byte, source int) error {
	var f micaFile
	if err := tomlfile.Decode(path, raw, &f, true); err != nil {
		return err
	}
	where := func(key string) string { return path + ":" + strconv.Itoa(lineOf(raw, key)) }
	if f.Offline != nil && c.offline == "" && !c.said("offline") {
		c.say("offline", strconv.FormatBool(*f.Offline), where("offline"))
		if *f.Offline {
			c.offline = where("offline")
		}
	}
	if f.TagTTL != nil && !c.said("tag-ttl") {
		ttl, err := time.ParseDuration(*f.TagTTL)
		if err != nil || ttl < 0 {
			return fmt.Errorf("%s: tag-ttl %q: %w: it is like 10m, or 0s for never", where("tag-ttl"), *f.TagTTL, errs.ErrInvalid)
		}
		c.tagTTL = ttl
		c.say("tag-ttl", ttl.String(), where("tag-ttl"))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Registry)) {
		if err := c.addMica(name, f.Registry[name], source, where(name)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) said(key string) bool {
	return slices.ContainsFunc(c.settings, func(s Setting) bool { return s.Key == key })
}

func (c *Config) addMica(name string, in micaRegistry, source int, from string) error {
	key := fmt.Sprintf("registry.%q.", name)
	r := registry{prefix: name, source: source, from: from, host: remote.Host{
		Insecure: in.Insecure, Blocked: in.Blocked, CA: in.CA, ClientCert: in.ClientCert, ClientKey: in.ClientKey,
	}}
	list := in.Mirror
	for _, m := range in.Mirrors {
		list = append(list, micaMirror{Location: m})
	}
	for _, m := range list {
		parsed, err := parseMirror(m.Location)
		if err != nil {
			return fmt.Errorf("%s: mirror of %s: %w", from, name, err)
		}
		switch m.Pull {
		case "", "all":
		case "digest":
			parsed.tags = false
		default:
			return fmt.Errorf("%s: mirror %s: pull %q: %w: it is all or digest", from, m.Location, m.Pull, errs.ErrInvalid)
		}
		if m.Namespace != nil {
			parsed.namespace = *m.Namespace
		}
		if strings.Contains(name, "/") {
			parsed.replaces = name
		}
		parsed.host2 = merge(parsed.host2, remote.Host{Insecure: m.Insecure, CA: m.CA, ClientCert: m.ClientCert, ClientKey: m.ClientKey})
		r.mirrors = append(r.mirrors, parsed)
		c.say(key+"mirror", m.Location, from)
	}
	for _, s := range []struct {
		key, value string
		set        bool
	}{
		{"insecure", "true", in.Insecure},
		{"blocked", "true", in.Blocked},
		{"ca", in.CA, in.CA != ""},
		{"client-cert", in.ClientCert, in.ClientCert != ""},
		{"client-key", in.ClientKey, in.ClientKey != ""},
	} {
		if s.set {
			c.say(key+s.key, s.value, from)
		}
	}
	c.registries = append(c.registries, r)
	return nil
}

// parseMirror reads host[:port][/path], with http:// or https:// before it or not.
func parseMirror(s string) (mirror, error) {
	m := mirror{namespace: true, tags: true}
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		if scheme != "http" && scheme != "https" {
			return m, fmt.Errorf("%q: %w: there are http:// and https://", s, errs.ErrInvalid)
		}
		m.host2.Insecure = scheme == "http"
		rest = after
	}
	m.host, m.path, _ = strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if u, err := url.Parse("https://" + rest); err != nil || u.Host != m.host || u.User != nil || u.RawQuery != "" || u.Fragment != "" || m.host == "" {
		return m, fmt.Errorf("%q: %w: it should be host, host:port or host/path", s, errs.ErrInvalid)
	}
	return m, nil
}

// lineOf is the line on which key, or the name of a table, first stands; 1 if it is
// written in some other way.
func lineOf(raw []byte, key string) int {
	for i, line := range bytes.Split(raw, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte(key)) || bytes.HasPrefix(line, []byte("[")) && bytes.Contains(line, []byte(key)) {
			return i + 1
		}
	}
	return 1
}
