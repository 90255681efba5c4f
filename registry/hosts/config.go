package hosts

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/remote"
)

// A Config is what all sources together say. It is not changed after Load and safe
// for concurrent use.
type Config struct {
	offline    string // why; "" is not
	tagTTL     time.Duration
	registries []registry // as they were read: those of the first source first
	settings   []Setting
}

// A Setting is one value and where it was said.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// A registry is what one source says of a registry, or of some repositories of it.
type registry struct {
	prefix  string // host[:port][/path], or *.example.com
	network netip.Prefix
	source  int
	host    remote.Host
	mirrors []mirror
	from    string
}

// A mirror is a place to look first.
type mirror struct {
	host, path string // path is put before the repository's, or replaces prefix
	replaces   string // the part of the name that path stands for; "" is the host
	namespace  bool
	tags       bool
	host2      remote.Host // how it is talked to
}

// DefaultTagTTL is how long a tag is believed to stand for what it stood for, where
// nobody says otherwise.
const DefaultTagTTL = 5 * time.Minute

// Options say where to look. The zero value reads nothing.
type Options struct {
	Mica       []string // files, the more important ones first
	DockerFile string   // daemon.json
	Containerd []string // directories like /etc/containerd/certs.d
	Registries []string // registries.conf, and directories of more, the last one wins
	Offline    string   // why nothing may be asked; "" leaves it to the files
}

// Standard is where the files are on this machine.
func Standard() Options {
	home, _ := os.UserHomeDir()
	config := os.Getenv("XDG_CONFIG_HOME")
	if config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	o := Options{
		DockerFile: "/etc/docker/daemon.json",
		Containerd: []string{"/etc/containerd/certs.d"},
		Registries: []string{"/etc/containers/registries.conf", "/etc/containers/registries.conf.d"},
		Mica:       []string{"/etc/mica/mica.toml"},
	}
	if config != "" {
		o.Mica = slices.Insert(o.Mica, 0, filepath.Join(config, "mica", "mica.toml"))
		if mine := filepath.Join(config, "containers", "registries.conf"); exists(mine) {
			o.Registries = []string{mine, filepath.Join(config, "containers", "registries.conf.d")}
		}
	}
	if f := os.Getenv("MICA_CONFIG"); f != "" {
		o.Mica = []string{f}
	}
	return o
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Load reads everything. A file that is not there says nothing; one that cannot be
// understood is an error with file and line.
func Load(o Options) (*Config, error) {
	c := &Config{tagTTL: DefaultTagTTL, offline: o.Offline}
	if o.Offline != "" {
		c.settings = append(c.settings, Setting{"offline", "true", o.Offline})
	}
	for i, f := range o.Mica {
		if err := c.readMica(f, i); err != nil {
			return nil, err
		}
	}
	source := len(o.Mica)
	for _, dir := range o.Containerd {
		if err := c.readContainerd(dir, source); err != nil {
			return nil, err
		}
	}
	for _, path := range o.Registries {
		if err := c.readRegistries(path, source+1); err != nil {
			return nil, err
		}
	}
	if o.DockerFile != "" {
		if err := c.readDaemon(o.DockerFile, source+2); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Settings lists what is in force and where it was said.
func (c *Config) Settings() []Setting {
	all := slices.Clone(c.settings)
	if !slices.ContainsFunc(all, func(s Setting) bool { return s.Key == "offline" }) {
		all = append(all, Setting{"offline", "false", "default"})
	}
	if !slices.ContainsFunc(all, func(s Setting) bool { return s.Key == "tag-ttl" }) {
		all = append(all, Setting{"tag-ttl", c.tagTTL.String(), "default"})
	}
	slices.SortStableFunc(all, func(a, b Setting) int { return cmp.Compare(a.Key, b.Key) })
	return all
}

// TagTTL is how long a tag is believed to stand for what it stood for.
func (c *Config) TagTTL() time.Duration { return c.tagTTL }

// Offline says that no registry may be asked, and who says so.
func (c *Config) Offline() (string, bool) { return c.offline, c.offline != "" }

// Host is how a host is talked to.
func (c *Config) Host(name string) (remote.Host, error) {
	var h remote.Host
	for _, r := range c.registries {
		for _, m := range r.mirrors {
			if m.host == name {
				h = merge(h, m.host2)
			}
		}
		if hostOf(r.prefix) == name && !strings.Contains(r.prefix, "/") || wildcard(r.prefix, name) || within(r.network, name) {
			h = merge(h, r.host)
		}
	}
	return h, nil
}

// merge adds what b says to a.
func merge(a, b remote.Host) remote.Host {
	a.Insecure = a.Insecure || b.Insecure
	a.Blocked = a.Blocked || b.Blocked
	a.CA = cmp.Or(a.CA, b.CA)
	if a.ClientCert == "" {
		a.ClientCert, a.ClientKey = b.ClientCert, b.ClientKey
	}
	return a
}

// Mirrors lists where to look for a repository first.
func (c *Config) Mirrors(domain, path string) ([]remote.Mirror, error) {
	best, name := -1, domain+"/"+path
	for i, r := range c.registries {
		if r.host.Blocked && covers(r.prefix, name) {
			return nil, fmt.Errorf("%s is blocked by %s: %w", name, r.from, errs.ErrUnauthorized)
		}
		if len(r.mirrors) == 0 || !covers(r.prefix, name) {
			continue
		}
		if best < 0 || r.source < c.registries[best].source ||
			r.source == c.registries[best].source && len(r.prefix) > len(c.registries[best].prefix) {
			best = i
		}
	}
	if best < 0 {
		return nil, nil
	}
	var out []remote.Mirror
	for _, m := range c.registries[best].mirrors {
		x := remote.Mirror{Host: m.host, Tags: m.tags}
		rest := path
		if m.replaces != "" {
			rest = strings.TrimPrefix(strings.TrimPrefix(name, m.replaces), "/")
		}
		x.Path = strings.Trim(m.path+"/"+rest, "/")
		if m.namespace {
			x.Namespace = domain
		}
		out = append(out, x)
	}
	return out, nil
}

// covers says whether prefix, which may be *.example.com, is of name.
func covers(prefix, name string) bool {
	if prefix == "*" || wildcard(prefix, hostOf(name)) {
		return true
	}
	rest, ok := strings.CutPrefix(name, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

func wildcard(prefix, host string) bool {
	suffix, ok := strings.CutPrefix(prefix, "*")
	return ok && strings.HasPrefix(suffix, ".") && strings.HasSuffix(host, suffix)
}

// within says whether host is an address of the network.
func within(p netip.Prefix, host string) bool {
	if !p.IsValid() {
		return false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && p.Contains(a.Unmap())
}

func hostOf(name string) string {
	host, _, _ := strings.Cut(name, "/")
	return host
}

func (c *Config) say(key, value, from string) {
	c.settings = append(c.settings, Setting{key, value, from})
}
