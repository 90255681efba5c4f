package ref

import (
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
)

// Docker Hub's domain in canonical references, and the tag meant when none is given.
const (
	DefaultDomain = "docker.io"
	DefaultTag    = "latest"
)

// A Ref is a parsed, normalized image reference. The zero Ref is no reference.
type Ref struct {
	Domain string        // host, or host:port; docker.io for Docker Hub
	Path   string        // repository within the domain, such as library/debian
	Tag    string        // "" only where Digest is set, or after ParseName
	Digest digest.Digest // "" if the reference has none
}

// Parse reads a reference as docker does. One that has neither tag nor digest
// gets the tag latest. Errors carry docker's message and match errs.ErrInvalid.
func Parse(s string) (Ref, error) {
	r, err := ParseName(s)
	if err == nil && r.Tag == "" && r.Digest == "" {
		r.Tag = DefaultTag
	}
	return r, err
}

// ParseName is Parse without the default tag: a reference that names only a
// repository comes back with neither Tag nor Digest.
func ParseName(s string) (Ref, error) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return Ref{}, &formatError{err}
	}
	r := Ref{Domain: reference.Domain(named), Path: reference.Path(named)}
	if t, ok := named.(reference.Tagged); ok {
		r.Tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		r.Digest = d.Digest()
	}
	return r, nil
}

// IsZero says whether r is no reference at all.
func (r Ref) IsZero() bool { return r == Ref{} }

// Name is the repository: domain and path.
func (r Ref) Name() string {
	if r.IsZero() {
		return ""
	}
	return r.Domain + "/" + r.Path
}

// String is the canonical form, such as docker.io/library/x:latest.
// Parse(r.String()) gives r again.
func (r Ref) String() string { return r.Name() + r.suffix() }

// FamiliarName is the repository as docker shows it: without docker.io, and
// without library/ for Docker Hub's own images.
func (r Ref) FamiliarName() string {
	if r.Domain != DefaultDomain {
		return r.Name()
	}
	if short, ok := strings.CutPrefix(r.Path, "library/"); ok && !strings.Contains(short, "/") {
		return short
	}
	return r.Path
}

// Familiar is the reference as docker shows it, such as x:latest.
func (r Ref) Familiar() string { return r.FamiliarName() + r.suffix() }

// Identifier is what a registry is asked for within the repository: the digest
// if there is one, else the tag.
func (r Ref) Identifier() string {
	if r.Digest != "" {
		return r.Digest.String()
	}
	return r.Tag
}

// WithTag is r with another tag and no digest. Errors match errs.ErrInvalid.
func (r Ref) WithTag(tag string) (Ref, error) {
	named, err := reference.WithName(r.Name())
	if err != nil {
		return Ref{}, &formatError{err}
	}
	if _, err := reference.WithTag(named, tag); err != nil {
		return Ref{}, fmt.Errorf("tag %q: %w", tag, &formatError{err})
	}
	return Ref{Domain: r.Domain, Path: r.Path, Tag: tag}, nil
}

// WithDigest is r with a digest and no tag.
func (r Ref) WithDigest(d digest.Digest) Ref {
	return Ref{Domain: r.Domain, Path: r.Path, Digest: d}
}

func (r Ref) suffix() string {
	var s string
	if r.Tag != "" {
		s = ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest.String()
	}
	return s
}

// A formatError keeps docker's message, which people search for, and still
// matches errs.ErrInvalid.
type formatError struct{ err error }

func (e *formatError) Error() string   { return e.err.Error() }
func (e *formatError) Unwrap() []error { return []error{errs.ErrInvalid, e.err} }
