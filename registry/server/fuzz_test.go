package server

import (
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
)

// The grammar of the specification, word for word.
var (
	nameForm = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagForm  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

func FuzzNames(f *testing.F) {
	for _, s := range []string{
		"", "a", "a/b", "a//b", "/a", "a/", "a.b", "a..b", "a_b", "a__b", "a___b", "a---b", "a-", "-a", "A", "a/_index", "..", "a/../b",
		"v1", "V1.0", ".x", "-x", "_x", strings.Repeat("a", 128), strings.Repeat("a", 129), strings.Repeat("a", 256), "ä", "a\n", "a\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := ValidName(s), len(s) <= maxName && nameForm.MatchString(s); got != want {
			t.Errorf("ValidName(%q) = %v", s, got)
		}
		if got, want := ValidTag(s), tagForm.MatchString(s); got != want {
			t.Errorf("ValidTag(%q) = %v", s, got)
		}
	})
}

func FuzzParseRoute(f *testing.F) {
	for _, s := range []string{
		"/v2/", "/v2/a/manifests/v1", "/v2/manifests/manifests/manifests", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads",
		"/v2/a/blobs/uploads/x", "/v2/blobs/uploads/x", "/v2/a/tags/list", "/v2/a/referrers/x", "/v2//manifests/x", "/v1/search", "/v2/a/blobs/../x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := ParseRoute(path)
		if strings.Contains(r.Argument, "/") {
			t.Errorf("%q: argument %q", path, r.Argument)
		}
		switch r.Area {
		case AreaManifests, AreaReferrers, AreaBlobs:
			if want := "/v2/" + r.Repository + "/" + string(r.Area) + "/" + r.Argument; path != want {
				t.Errorf("%q is %+v", path, r)
			}
		case AreaUploads:
			if want := "/v2/" + r.Repository + "/blobs/uploads/" + r.Argument; path != want {
				t.Errorf("%q is %+v", path, r)
			}
		}
	})
}

func TestParseRoute(t *testing.T) {
	for path, want := range map[string]Route{
		"/":                                {},
		"/v2":                              {Area: AreaBase},
		"/v2/_catalog":                     {Area: AreaCatalog},
		"/v2/a":                            {},
		"/v2/manifests/x":                  {},
		"/v2/blobs/uploads/x":              {}, // a repository has a name
		"/v2/a/b/manifests/v1":             {AreaManifests, "a/b", "v1"},
		"/v2/manifests/manifests/v1":       {AreaManifests, "manifests", "v1"},
		"/v2/a/manifests/manifests/v1":     {AreaManifests, "a/manifests", "v1"},
		"/v2/a/blobs/uploads":              {AreaStart, "a", ""},
		"/v2/a/blobs/uploads/":             {AreaStart, "a", ""},
		"/v2/a/blobs/uploads/ID":           {AreaUploads, "a", "ID"},
		"/v2/a/blobs/blobs/uploads/ID":     {AreaUploads, "a/blobs", "ID"},
		"/v2/a/blobs/sha256:x":             {AreaBlobs, "a", "sha256:x"},
		"/v2/tags/tags/list":               {AreaTags, "tags", ""},
		"/v2/a/tags/v1":                    {},
		"/v2/a/referrers/sha256:x":         {AreaReferrers, "a", "sha256:x"},
		"/v2/a/manifests/x/manifests/blob": {AreaManifests, "a/manifests/x", "blob"},
	} {
		if got := ParseRoute(path); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	for _, s := range []string{
		`{}`, `[]`, `null`, `{"schemaVersion":2,"config":null,"layers":null}`, `{"manifests":[{"digest":"sha256:x"}]}`,
		`{"schemaVersion":2,"subject":{"digest":"x"}}`, strings.Repeat("[", 20000), `{"config":{"digest":"` + digest.FromString("x").String() + `"},"layers":[{}]}`,
	} {
		f.Add(image.MediaTypeManifest, []byte(s))
		f.Add(image.MediaTypeIndex, []byte(s))
		f.Add("", []byte(s))
	}
	f.Fuzz(func(t *testing.T, contentType string, raw []byte) {
		m, err := parseManifest(contentType, digest.FromBytes(raw), raw)
		if err != nil {
			return
		}
		for _, d := range append(append(m.Blobs, m.Manifests...), m.Digest) {
			if d.Validate() != nil {
				t.Errorf("needs %q", d)
			}
		}
		if m.Subject != "" && m.Subject.Validate() != nil {
			t.Errorf("subject %q", m.Subject)
		}
	})
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"0-1", "bytes 0-1/2", "1-0", "-", "9223372036854775807-9223372036854775807", "a-b", "0--1"} {
		f.Add(s, int64(0), int64(2))
	}
	f.Fuzz(func(t *testing.T, s string, have, length int64) {
		r := httptest.NewRequest("PATCH", "/", nil)
		r.Header["Content-Range"] = []string{s}
		r.ContentLength = length
		c := &call{Registry: New(NewMemory(), Options{}), w: httptest.NewRecorder(), r: r}
		if err := c.checkRange(have); err == nil && s != "" && (have < 0 || !strings.Contains(s, "-")) {
			t.Errorf("range %q after %d bytes", s, have)
		}
	})
}
