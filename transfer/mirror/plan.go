package mirror

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/tomlfile"
	"github.com/mica-build/mica/ref"
)

// A Plan says which repositories are to be kept equal to which others.
type Plan struct {
	// Concurrency is how many tags are looked at at once; 0 means 4.
	Concurrency int `toml:"concurrency"`
	// VerifyAfter is how long a tag that was copied is believed to be still there
	// without asking, such as "24h", which is the default; "0s" asks each time.
	VerifyAfter *Duration `toml:"verify-after"`
	Jobs        []Job     `toml:"sync"`
}

// A Job is one repository to copy.
type Job struct {
	// From is a repository of a registry, To another one or another location.
	From string `toml:"from"`
	To   string `toml:"to"`
	// Tags are the tags wanted, or patterns of them (path.Match); none is all.
	Tags []string `toml:"tags"`
	// Except are tags, or patterns, that are not wanted.
	Except []string `toml:"except"`
	// Platforms, when there are some, are all that is copied of an image for several.
	Platforms []string `toml:"platforms"`
	// ImageOnly leaves out signatures, SBOMs and what else refers to images.
	ImageOnly bool `toml:"image-only"`
	// Delete removes tags from To that Tags and Except would have, and From has not.
	Delete bool `toml:"delete"`

	platforms []image.Platform
}

// A Duration is written like "90m".
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// maxPlan bounds a file with a plan.
const maxPlan = 1 << 20

// ParsePlan reads a plan in TOML. Errors match errs.ErrInvalid and name the line, as
// in "sync.toml:7: …" where file is the name.
func ParsePlan(file string, raw []byte) (Plan, error) {
	var p Plan
	if len(raw) > maxPlan {
		return p, fmt.Errorf("%s: more than %d bytes: %w", file, maxPlan, errs.ErrTooLarge)
	}
	if err := tomlfile.Decode(file, raw, &p, true); err != nil {
		return p, err
	}
	if len(p.Jobs) == 0 {
		return p, fmt.Errorf("%s: there is no [[sync]] in it: %w", file, errs.ErrInvalid)
	}
	for i := range p.Jobs {
		if err := p.Jobs[i].check(); err != nil {
			return p, fmt.Errorf("%s: [[sync]] %d: %w", file, i+1, err)
		}
	}
	return p, nil
}

func (j *Job) check() error {
	if err := repositoryOnly("from", j.From); err != nil {
		return err
	}
	if j.To == "" {
		return fmt.Errorf("to is missing: %w", errs.ErrInvalid)
	}
	to, err := ParseLocation(j.To)
	if err != nil {
		return fmt.Errorf("to: %w", err)
	}
	switch {
	case to.Kind == Registry || to.Kind == Store:
		if err := repositoryOnly("to", to.Name); err != nil {
			return err
		}
	case to.Kind != Layout:
		return fmt.Errorf("to %q: an archive cannot be kept equal; use an OCI layout: %w", j.To, errs.ErrInvalid)
	}
	if j.Delete && to.Kind != Registry {
		return fmt.Errorf("delete: only registries can be told to: %w", errs.ErrUnsupported)
	}
	for _, pattern := range append(append([]string(nil), j.Tags...), j.Except...) {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("pattern %q: %w: %w", pattern, errs.ErrInvalid, err)
		}
	}
	for _, s := range j.Platforms {
		p, err := platforms.Parse(s)
		if err != nil {
			return fmt.Errorf("platform %q: %w: %w", s, errs.ErrInvalid, err)
		}
		j.platforms = append(j.platforms, p)
	}
	return nil
}

// repositoryOnly makes sure that name has neither tag nor digest.
func repositoryOnly(key, name string) error {
	if name == "" {
		return fmt.Errorf("%s is missing: %w", key, errs.ErrInvalid)
	}
	r, err := ref.ParseName(strings.TrimPrefix(name, "docker://"))
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if r.Tag != "" || r.Digest != "" {
		return fmt.Errorf("%s %q: a repository is wanted, without tag or digest: %w", key, name, errs.ErrInvalid)
	}
	return nil
}

// listed gives the tags if they can be known without asking for a list.
func (j *Job) listed() ([]string, bool) {
	if len(j.Tags) == 0 || j.Delete {
		return nil, false
	}
	var tags []string
	for _, t := range j.Tags {
		if strings.ContainsAny(t, `*?[\`) {
			return nil, false
		}
		if j.wants(t) {
			tags = append(tags, t)
		}
	}
	return tags, true
}

// wants says whether a tag is to be copied.
func (j *Job) wants(tag string) bool {
	in := func(patterns []string) bool {
		for _, p := range patterns {
			if ok, _ := path.Match(p, tag); ok {
				return true
			}
		}
		return false
	}
	return (len(j.Tags) == 0 || in(j.Tags)) && !in(j.Except)
}
