package export

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// told says what annotations come to at every place, for two platforms.
func told(a Annotations) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, place := range []string{Manifest, ManifestDescriptor, Index, IndexDescriptor} {
		for _, arch := range []string{"amd64", "arm64"} {
			if m := a.of(place, image.Platform{OS: "linux", Architecture: arch}); m != nil {
				out[place+" "+arch] = m
			}
		}
	}
	return out
}

func TestParseAnnotationRefuses(t *testing.T) {
	for _, in := range []string{"", "k", "=v", ":k=v", "manifest:=v", "elsewhere:k=v", "manifest[linux/arm64:k=v", "manifest[]:k=v", "manifest[linux/arm64]x:k=v"} {
		if a, err := ParseAnnotation(in); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%q: %v, %v; want ErrInvalid", in, told(a), err)
		}
	}
}

func TestParseAnnotationAttr(t *testing.T) {
	both := func(place, k string) map[string]map[string]string {
		return map[string]map[string]string{place + " amd64": {k: "v"}, place + " arm64": {k: "v"}}
	}
	for _, c := range []struct {
		attr string
		want map[string]map[string]string
	}{
		{"annotation.k", both("manifest", "k")},
		{"annotation.org.opencontainers.image.title", both("manifest", "org.opencontainers.image.title")},
		{"annotation-index.a.b", both("index", "a.b")},
		{"annotation-manifest-descriptor.k", both("manifest-descriptor", "k")},
		{"annotation[linux/arm64].k", map[string]map[string]string{"manifest arm64": {"k": "v"}}},
		{"annotation-manifest-descriptor[linux/amd64].a.b", map[string]map[string]string{"manifest-descriptor amd64": {"a.b": "v"}}},
		{"annotation.a[b].c", both("manifest", "a[b].c")},
	} {
		a, ok, err := ParseAnnotationAttr(c.attr, "v")
		if !ok || err != nil {
			t.Errorf("%s: %v, %v", c.attr, ok, err)
			continue
		}
		if diff := cmp.Diff(c.want, told(a)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.attr, diff)
		}
	}
	for _, attr := range []string{"name", "annotation", "annotations.k", ""} {
		if _, ok, err := ParseAnnotationAttr(attr, "v"); ok || err != nil {
			t.Errorf("%q: taken %v, %v", attr, ok, err)
		}
	}
	for _, attr := range []string{"annotation.", "annotation-index", "annotation-elsewhere.k", "annotation[linux/arm64.k", "annotation[linux/arm64]"} {
		if _, ok, err := ParseAnnotationAttr(attr, "v"); !ok || !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%q: taken %v, %v", attr, ok, err)
		}
	}
}

// What the command line says last counts.
func TestAnnotationsLastCounts(t *testing.T) {
	var all Annotations
	for _, s := range []string{"k=one", "k=two"} {
		a, err := ParseAnnotation(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a...)
	}
	if got := all.of(Manifest, image.Platform{})["k"]; got != "two" {
		t.Errorf("%q", got)
	}
}

func FuzzParseAnnotationAttr(f *testing.F) {
	for _, s := range []string{"annotation.k", "annotation[linux/arm64].k", "annotation-index[", "annotation]["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok, err := ParseAnnotationAttr(s, ""); ok && err == nil && len(a) != 1 {
			t.Errorf("%q: %d annotations", s, len(a))
		}
		_, _ = ParseAnnotation(s)
	})
}
