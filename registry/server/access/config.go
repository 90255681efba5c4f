package access

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/tomlfile"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage"
)

// A Config is what a file says of a registry.
type Config struct {
	// ReadOnly refuses what writes.
	ReadOnly bool `toml:"read-only"`
	// Htpasswd is the file of users, relative to the config's directory.
	Htpasswd string `toml:"htpasswd"`
	// Groups are users by the name of their group.
	Groups map[string][]string `toml:"groups"`
	// Rules grant rights; what no rule grants is refused. Without any rule everybody
	// known may do everything, and where there are no users everybody may.
	Rules []Rule `toml:"rule"`
	// Immutable are patterns of REPOSITORY:TAG that, once there, stay as they are.
	Immutable []string `toml:"immutable-tags"`
	// Quotas bound what repositories take.
	Quotas []Quota `toml:"quota"`
	// Retention says which tags go.
	Retention []Retention `toml:"retention"`
	// TLS is how the registry is to be spoken with.
	TLS TLS `toml:"tls"`
	// MaxBlob and MaxManifest bound sizes, like "10GB".
	MaxBlob     string `toml:"max-blob"`
	MaxManifest string `toml:"max-manifest"`

	limits []storage.Limit
	sizes  struct{ blob, manifest int64 }
}

// A Rule grants actions on repositories.
type Rule struct {
	// Repositories are patterns: * is any part of a name, ** any number of parts.
	Repositories []string `toml:"repositories"`
	Users        []string `toml:"users"` // "*" is every known user
	Groups       []string `toml:"groups"`
	Anonymous    bool     `toml:"anonymous"` // also who does not say who they are
	Actions      []string `toml:"actions"`   // pull, push, delete
}

// A Quota bounds the bytes of a repository, or of all below a prefix ("team/").
type Quota struct {
	Repositories string `toml:"repositories"`
	Size         string `toml:"size"`
}

// TLS names the files of a certificate and its key, relative to the config's directory.
type TLS struct {
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
}

// maxConfig bounds a config, in bytes.
const maxConfig = 1 << 20

// ParseConfig reads a config. Errors match errs.ErrInvalid and name the line.
func ParseConfig(file string, raw []byte) (*Config, error) {
	c := &Config{}
	if len(raw) > maxConfig {
		return nil, fmt.Errorf("%s: more than %d bytes: %w", file, maxConfig, errs.ErrTooLarge)
	}
	if err := tomlfile.Decode(file, raw, c, true); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	dir := filepath.Dir(file)
	for _, p := range []*string{&c.Htpasswd, &c.TLS.Cert, &c.TLS.Key} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	return c, nil
}

func (c *Config) check() error {
	for i, r := range c.Rules {
		if err := c.checkRule(r); err != nil {
			return fmt.Errorf("[[rule]] %d: %w", i+1, err)
		}
	}
	for i, q := range c.Quotas {
		n, err := units.RAMInBytes(q.Size)
		if err != nil || n <= 0 {
			return fmt.Errorf("[[quota]] %d: size %q: %w: it is like 10GB", i+1, q.Size, errs.ErrInvalid)
		}
		prefix := strings.TrimSuffix(q.Repositories, "**")
		if prefix != "" && !server.ValidName(strings.TrimSuffix(prefix, "/")) {
			return fmt.Errorf("[[quota]] %d: repositories %q: %w: it is a repository, team/** or **", i+1, q.Repositories, errs.ErrInvalid)
		}
		c.limits = append(c.limits, storage.Limit{Prefix: prefix, Bytes: n})
	}
	for i, r := range c.Retention {
		if err := r.check(); err != nil {
			return fmt.Errorf("[[retention]] %d: %w", i+1, err)
		}
	}
	for _, p := range c.Immutable {
		if !strings.Contains(p, ":") {
			return fmt.Errorf("immutable-tags %q: %w: it is REPOSITORY:TAG", p, errs.ErrInvalid)
		}
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return fmt.Errorf("[tls]: %w: cert and key go together", errs.ErrInvalid)
	}
	for _, s := range []struct {
		key, value string
		to         *int64
	}{{"max-blob", c.MaxBlob, &c.sizes.blob}, {"max-manifest", c.MaxManifest, &c.sizes.manifest}} {
		if s.value == "" {
			continue
		}
		n, err := units.RAMInBytes(s.value)
		if err != nil || n <= 0 {
			return fmt.Errorf("%s %q: %w: it is like 10GB", s.key, s.value, errs.ErrInvalid)
		}
		*s.to = n
	}
	return nil
}

func (c *Config) checkRule(r Rule) error {
	if len(r.Repositories) == 0 || len(r.Actions) == 0 {
		return fmt.Errorf("it needs repositories and actions: %w", errs.ErrInvalid)
	}
	if len(r.Users) == 0 && len(r.Groups) == 0 && !r.Anonymous {
		return fmt.Errorf("it is for nobody: %w: give users, groups or anonymous", errs.ErrInvalid)
	}
	for _, a := range r.Actions {
		if !slices.Contains([]string{"pull", "push", "delete"}, a) {
			return fmt.Errorf("action %q: %w: there are pull, push and delete", a, errs.ErrInvalid)
		}
	}
	for _, g := range r.Groups {
		if _, ok := c.Groups[g]; !ok {
			return fmt.Errorf("group %q: %w: [groups] does not have it", g, errs.ErrInvalid)
		}
	}
	if r.Anonymous && (slices.Contains(r.Actions, "push") || slices.Contains(r.Actions, "delete")) {
		return fmt.Errorf("anonymous may only pull: %w", errs.ErrInvalid)
	}
	return nil
}

// Sizes are the bounds of blobs and manifests in bytes; 0 is the server's own.
func (c *Config) Sizes() (blob, manifest int64) { return c.sizes.blob, c.sizes.manifest }

// Limits are the quotas that count for a repository.
func (c *Config) Limits(repo string) []storage.Limit {
	var out []storage.Limit
	for _, l := range c.limits {
		if l.Covers(repo) {
			out = append(out, l)
		}
	}
	return out
}

// IsImmutable says whether a tag stays as it is.
func (c *Config) IsImmutable(repo, tag string) bool {
	return slices.ContainsFunc(c.Immutable, func(p string) bool {
		i := strings.LastIndexByte(p, ':')
		return Match(p[:i], repo) && Match(p[i+1:], tag)
	})
}

// Decide says whether user, "" for one who did not say, may do action, and why: the
// rule that grants it, or that none does.
func (c *Config) Decide(user, repo, action string) (ok bool, why string) {
	if len(c.Rules) == 0 {
		switch {
		case c.Htpasswd == "":
			return true, "there are neither users nor rules"
		case user != "":
			return true, "there are no rules: every user may do everything"
		}
		return false, "there are no rules: only users may do something"
	}
	for i, r := range c.Rules {
		if slices.Contains(r.Actions, action) && c.isFor(r, user) && slices.ContainsFunc(r.Repositories, func(p string) bool { return Match(p, repo) }) {
			return true, "[[rule]] " + strconv.Itoa(i+1) + " grants it"
		}
	}
	return false, "no rule grants it"
}

func (c *Config) isFor(r Rule, user string) bool {
	switch {
	case r.Anonymous:
		return true
	case user == "":
		return false
	case slices.Contains(r.Users, user) || slices.Contains(r.Users, "*"):
		return true
	}
	return slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(c.Groups[g], user) })
}

// Match says whether a name fits a pattern: * stands for any part of a component, **
// for any number of them.
func Match(pattern, name string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func matchParts(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(name) + 1 {
				if matchParts(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 || !matchPart(pattern[0], name[0]) {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}

// matchPart matches * in one component; each * takes as little as it can, from the left.
func matchPart(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}
