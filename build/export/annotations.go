package export

import (
	"fmt"
	"strings"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// Places that an annotation can stand in.
const (
	Manifest           = "manifest"
	ManifestDescriptor = "manifest-descriptor"
	Index              = "index"
	IndexDescriptor    = "index-descriptor"
)

// Annotations are the annotations of one image.
type Annotations []annotation

type annotation struct {
	place    string
	platform *image.Platform // nil is every one
	key      string
	value    string
}

// ParseAnnotation reads the form of --annotation:
// [place,place[platform]:]key=value. Without a place it is the manifest's.
func ParseAnnotation(s string) (Annotations, error) {
	head, value, ok := strings.Cut(s, "=")
	if !ok {
		return nil, fmt.Errorf("annotation %q: %w: want key=value", s, errs.ErrInvalid)
	}
	key := head
	places := []string{Manifest}
	if types, k, ok := strings.Cut(head, ":"); ok {
		key = k
		places = strings.Split(types, ",")
	}
	if key == "" {
		return nil, fmt.Errorf("annotation %q: %w: the key is empty", s, errs.ErrInvalid)
	}
	var out Annotations
	for _, p := range places {
		name, plat, err := parsePlace(p)
		if err != nil {
			return nil, fmt.Errorf("annotation %q: %w", s, err)
		}
		out = append(out, annotation{place: name, platform: plat, key: key, value: value})
	}
	return out, nil
}

// ParseAnnotationAttr reads an output attribute: annotation[-place][[platform]].key.
// ok is false for other attributes.
func ParseAnnotationAttr(attr, value string) (a Annotations, ok bool, err error) {
	rest, ok := strings.CutPrefix(attr, "annotation")
	if !ok || rest == "" || !strings.ContainsAny(rest[:1], "-.[") {
		return nil, false, nil
	}
	dot := strings.IndexByte(rest, '.')
	if end := strings.IndexByte(rest, ']'); end > dot && dot >= 0 && strings.Contains(rest[:dot], "[") {
		if dot = strings.IndexByte(rest[end:], '.'); dot >= 0 {
			dot += end
		}
	}
	if dot < 0 || dot+1 == len(rest) {
		return nil, true, fmt.Errorf("output attribute %q: %w: want annotation.KEY", attr, errs.ErrInvalid)
	}
	place := strings.TrimPrefix(rest[:dot], "-")
	if place == "" || place[0] == '[' {
		place = Manifest + place
	}
	name, plat, err := parsePlace(place)
	if err != nil {
		return nil, true, fmt.Errorf("output attribute %q: %w", attr, err)
	}
	return Annotations{{place: name, platform: plat, key: rest[dot+1:], value: value}}, true, nil
}

func parsePlace(s string) (string, *image.Platform, error) {
	name, plat, ok := strings.Cut(s, "[")
	switch name {
	case Manifest, ManifestDescriptor, Index, IndexDescriptor:
	default:
		return "", nil, fmt.Errorf("place %q: %w: use manifest, manifest-descriptor, index or index-descriptor", name, errs.ErrInvalid)
	}
	if !ok {
		return name, nil, nil
	}
	plat, ok = strings.CutSuffix(plat, "]")
	if !ok {
		return "", nil, fmt.Errorf("place %q: %w: the platform has no ] at its end", s, errs.ErrInvalid)
	}
	p, err := platforms.Parse(plat)
	if err != nil {
		return "", nil, fmt.Errorf("platform of place %q: %w: %w", s, errs.ErrInvalid, err)
	}
	return name, &p, nil
}

// NeedsIndex says whether some annotation stands in an index.
func (a Annotations) NeedsIndex() bool {
	for _, x := range a {
		if x.place == Index || x.place == IndexDescriptor {
			return true
		}
	}
	return false
}

// isManifest says whether a place is there for each platform.
func isManifest(place string) bool { return place == Manifest || place == ManifestDescriptor }

// of collects the annotations for one place.
func (a Annotations) of(place string, p image.Platform) map[string]string {
	var m map[string]string
	for _, x := range a {
		if x.place != place {
			continue
		}
		if x.platform != nil && isManifest(place) && !platforms.OnlyStrict(*x.platform).Match(p) {
			continue
		}
		if m == nil {
			m = map[string]string{}
		}
		m[x.key] = x.value
	}
	return m
}
