package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/ref"
)

// A Kind is a kind of place, by the name that skopeo gives to it.
type Kind string

// The kinds of places.
const (
	Registry      Kind = "docker"
	Store         Kind = "store"
	Layout        Kind = "oci"
	Archive       Kind = "oci-archive"
	DockerArchive Kind = "docker-archive"
)

// aliases are what else a kind may be called.
var aliases = map[string]Kind{
	"registry": Registry, "docker": Registry,
	"store": Store, "docker-daemon": Store, "containers-storage": Store,
	"oci": Layout, "oci-layout": Layout,
	"oci-archive": Archive, "docker-archive": DockerArchive,
}

// A Location is where an image is.
type Location struct {
	Kind Kind
	// Path is a layout's directory or an archive's file; "-" is a stream.
	Path string
	// Name is the image there: a reference, a tag or a digest. It may be empty in
	// layouts and archives, where it then stands for the only image there is.
	Name string
}

// ParseLocation reads a location:
//
//	REF, docker://REF              at the registry that the reference names
//	store:REF                      in the local store
//	oci:DIR[:NAME]                 in an OCI layout
//	oci-archive:FILE[:NAME]        in a tar of one
//	docker-archive:FILE[:NAME]     in a tar that also docker before 25 can load
//	DIR/, ./PATH, /PATH            an OCI layout, or an archive if it is, or is called like, a file
//	-                              an archive as a stream
func ParseLocation(s string) (Location, error) {
	kind, rest, ok := strings.Cut(s, ":")
	switch k, known := aliases[kind]; {
	case ok && known && k == Registry && strings.HasPrefix(rest, "//"):
		return registryLocation(strings.TrimPrefix(rest, "//"))
	case ok && known && k == Store:
		return Location{Kind: Store, Name: rest}, notEmpty(s, rest)
	case ok && known && k != Registry:
		l := Location{Kind: k}
		l.Path, l.Name = cutPath(rest)
		return l, notEmpty(s, l.Path)
	case s == "-":
		return Location{Kind: Archive, Path: "-"}, nil
	case strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../"):
		return pathLocation(s), nil
	}
	return registryLocation(s)
}

// String is the location as ParseLocation reads it.
func (l Location) String() string {
	switch {
	case l.Kind == Registry:
		return "docker://" + l.Name
	case l.Kind == Store:
		return "store:" + l.Name
	case l.Name == "":
		return string(l.Kind) + ":" + l.Path
	}
	return string(l.Kind) + ":" + l.Path + ":" + l.Name
}

func registryLocation(name string) (Location, error) {
	r, err := ref.ParseName(name)
	if err != nil {
		return Location{}, fmt.Errorf("%w (what is a file begins with ./ or /, with oci:, oci-archive: or docker-archive:)", err)
	}
	return Location{Kind: Registry, Name: r.String()}, nil
}

// Image is the name of the image at l: of a registry and the store the whole
// reference, with the tag latest where there is none.
func (l Location) Image() string {
	if l.Kind != Registry && l.Kind != Store {
		return l.Name
	}
	r, err := ref.Parse(l.Name)
	if err != nil {
		return l.Name
	}
	if l.Kind == Store && r.Tag == ref.DefaultTag && !strings.Contains(l.Name, ":") {
		return l.Name // it may be an ID
	}
	return r.String()
}

// NameFor is what an image from src is called at l where l does not say: in layouts
// and archives it keeps its name.
func (l Location) NameFor(src Location) string {
	if l.Name == "" {
		return src.Image()
	}
	if l.Kind == Store {
		if r, err := ref.Parse(l.Name); err == nil {
			return r.String()
		}
	}
	return l.Image()
}

// pathLocation is a path without a kind: what is there decides, then its name.
func pathLocation(s string) Location {
	l := Location{Kind: Layout}
	l.Path, l.Name = cutPath(s)
	st, err := os.Stat(l.Path)
	if err == nil && !st.IsDir() || err != nil && filepath.Ext(strings.TrimSuffix(l.Path, ".gz")) == ".tar" {
		l.Kind = Archive
	}
	return l
}

// cutPath parts a path from the name of an image behind it. A colon in an existing
// file's path belongs to the path.
func cutPath(s string) (path, name string) {
	if _, err := os.Stat(s); err == nil {
		return s, ""
	}
	for i := 0; i < len(s); i++ {
		if s[i] == ':' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func notEmpty(s, part string) error {
	if part == "" {
		return fmt.Errorf("location %q: something is missing after the colon: %w", s, errs.ErrInvalid)
	}
	return nil
}

// Tagged is what the tag of src's repository is called at l.
func (l Location) Tagged(src Location, tag string) string {
	name := l.Name
	if name == "" {
		name = src.Name
	}
	if r, err := ref.ParseName(name); err == nil && name != "" {
		return r.Name() + ":" + tag
	}
	return tag
}

// DigestTag says whether a tag is kept by tools for what refers to a digest.
func DigestTag(tag string) bool {
	hex, ok := strings.CutPrefix(tag, "sha256-")
	hex, _, _ = strings.Cut(hex, ".")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}
