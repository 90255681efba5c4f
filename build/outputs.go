package build

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mica-build/mica/build/export"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/transfer"
)

// output is one place the result goes to, checked before anything is built.
type output struct {
	Output
	tags        []string // the request's and its own, as they were given
	names       []ref.Ref
	annotations export.Annotations
	compress    transfer.Options
	push        bool
	rewrite     bool // times after the epoch
	set         bool // all times to the epoch
	docker      bool
	split       *bool // nil is yes for a build of several platforms
	remove      bool  // what else is in the directory
	byDigest    bool  // pushed without a tag
	epoch       *epochAttr
}

// epochAttr is the attribute source-date-epoch; t is nil to leave times alone.
type epochAttr struct{ t *time.Time }

// outputs reads the request's outputs; none is one image in the store.
func (s *session) outputs() ([]output, error) {
	list := s.r.Outputs
	if len(list) == 0 {
		list = []Output{{Type: "image"}}
	}
	var common export.Annotations
	for _, a := range s.r.Annotations {
		x, err := export.ParseAnnotation(a)
		if err != nil {
			return nil, err
		}
		common = append(common, x...)
	}
	out := make([]output, len(list))
	for i, o := range list {
		p, err := s.output(o)
		if err != nil {
			return nil, fmt.Errorf("output type=%s: %w", o.Type, err)
		}
		p.annotations = append(slices.Clone(common), p.annotations...)
		out[i] = p
	}
	return out, nil
}

// output reads one output of the request.
func (s *session) output(o Output) (output, error) {
	p := output{Output: o, set: s.r.Reproducible, tags: s.r.Tags}
	fallback, err := p.place()
	if err != nil {
		return p, err
	}
	if p.compress, err = transfer.ParseOptions(o.Attrs, fallback); err != nil {
		return p, err
	}
	for k, v := range o.Attrs {
		if err := p.attr(k, v); err != nil {
			return p, fmt.Errorf("%s=%s: %w", k, v, err)
		}
	}
	for _, n := range p.tags {
		rf, err := parseTag(n)
		if err != nil {
			return p, err
		}
		if !slices.Contains(p.names, rf) {
			p.names = append(p.names, rf)
		}
	}
	if p.push && len(p.names) == 0 {
		return p, errors.New("a name is needed to push: give one with -t")
	}
	return p, nil
}

// place checks the type and gives the compression that goes with it.
func (p *output) place() (compression string, err error) {
	switch p.Type {
	case "image", "docker", "cacheonly", "tar":
	case "oci":
		return "gzip", nil
	case "registry":
		p.Type, p.push = "image", true
	case "local":
		if p.Dest == "" {
			return "", fmt.Errorf("%w: dest is missing", errs.ErrInvalid)
		}
	default:
		return "", fmt.Errorf("%w: use image, docker, oci, local, tar, registry or cacheonly", errs.ErrUnsupported)
	}
	return "", nil
}

// attr reads one attribute. Those of the compression are read elsewhere.
func (p *output) attr(k, v string) (err error) {
	switch k {
	case "name":
		if v != "" {
			p.tags = append(slices.Clone(p.tags), strings.Split(v, ",")...)
		}
	case "push":
		p.push, err = strconv.ParseBool(v)
	case "rewrite-timestamp":
		p.rewrite, err = strconv.ParseBool(v)
	case "oci-mediatypes":
		var oci bool
		oci, err = strconv.ParseBool(v)
		p.docker = !oci
	case "platform-split":
		var b bool
		b, err = strconv.ParseBool(v)
		p.split = &b
	case "source-date-epoch":
		p.epoch, err = parseEpoch(v)
	case "mode":
		p.remove = v == "delete"
	case "push-by-digest":
		p.byDigest, err = strconv.ParseBool(v)
	case "registry.insecure":
		if insecure, perr := strconv.ParseBool(v); perr != nil || insecure {
			err = fmt.Errorf("%w: plain HTTP is used for registries on this machine only", errs.ErrUnsupported)
		}
	case "compression", "compression-level", "force-compression":
	case "unpack", "store", "tar", "buildinfo",
		"dangling-name-prefix", "danging-name-empty-only", "name-canonical", "prefer-nondist-layers", "compatibility-version",
		"attestation-prefix", "attestation-inline", "oci-artifact": // nothing to do here
	default:
		a, ok, aerr := export.ParseAnnotationAttr(k, v)
		if !ok {
			return fmt.Errorf("%w: attribute %s", errs.ErrUnsupported, k)
		}
		p.annotations, err = append(p.annotations, a...), aerr
	}
	return err
}

// parseEpoch reads the attribute source-date-epoch.
func parseEpoch(v string) (*epochAttr, error) {
	if v == "" {
		return &epochAttr{}, nil
	}
	sec, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: want seconds since 1970", errs.ErrInvalid)
	}
	t := time.Unix(sec, 0).UTC()
	return &epochAttr{t: &t}, nil
}

// parseTag reads a name that an image can be given.
func parseTag(n string) (ref.Ref, error) {
	rf, err := ref.Parse(strings.TrimSpace(n))
	if err != nil {
		return rf, fmt.Errorf("tag %q: %w", n, err)
	}
	if rf.Digest != "" {
		return rf, fmt.Errorf("tag %q: %w: a digest cannot be chosen", n, errs.ErrInvalid)
	}
	if rf.Name() == "docker.io/library/scratch" {
		return rf, fmt.Errorf("tag %q: %w: 'scratch' is a reserved name", n, errs.ErrInvalid)
	}
	return rf, nil
}

// splits says whether each platform gets a directory of its own.
func (p *output) splits(multi bool) bool {
	if p.split != nil {
		return *p.split
	}
	return multi
}
