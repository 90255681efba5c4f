package ref_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/ref"
)

const hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in, canonical, familiar, domain, path string
	}{
		{"x", "docker.io/library/x:latest", "x:latest", "docker.io", "library/x"},
		{"x:1", "docker.io/library/x:1", "x:1", "docker.io", "library/x"},
		{"u/x", "docker.io/u/x:latest", "u/x:latest", "docker.io", "u/x"},
		{"docker.io/x", "docker.io/library/x:latest", "x:latest", "docker.io", "library/x"},
		{"index.docker.io/x", "docker.io/library/x:latest", "x:latest", "docker.io", "library/x"},
		{"docker.io/library/x/y", "docker.io/library/x/y:latest", "library/x/y:latest", "docker.io", "library/x/y"},
		{"localhost/x", "localhost/x:latest", "localhost/x:latest", "localhost", "x"},
		{"localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest", "localhost:5000", "x"},
		{"host:80/a/b:c", "host:80/a/b:c", "host:80/a/b:c", "host:80", "a/b"},
		{"a.b/c", "a.b/c:latest", "a.b/c:latest", "a.b", "c"},
		{"[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000", "x"},
		{"HOST/x", "HOST/x:latest", "HOST/x:latest", "HOST", "x"},
		{"x@sha256:" + hex, "docker.io/library/x@sha256:" + hex, "x@sha256:" + hex, "docker.io", "library/x"},
		{"h:1/x:2@sha256:" + hex, "h:1/x:2@sha256:" + hex, "h:1/x:2@sha256:" + hex, "h:1", "x"},
	} {
		r, err := ref.Parse(tt.in)
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		got := [4]string{r.String(), r.Familiar(), r.Domain, r.Path}
		if want := [4]string{tt.canonical, tt.familiar, tt.domain, tt.path}; got != want {
			t.Errorf("%q: %q, want %q", tt.in, got, want)
		}
		if again, err := ref.Parse(r.Familiar()); err != nil || again != r {
			t.Errorf("%q: its familiar form is %v, %v", tt.in, again, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                                "invalid reference format",
		"FOO":                             "invalid reference format: repository name (library/FOO) must be lowercase",
		"a/FOO:latest":                    "invalid reference format: repository name (a/FOO) must be lowercase",
		"host.io/Foo":                     "invalid reference format: repository name (Foo) must be lowercase",
		"a b":                             "invalid reference format",
		"a:":                              "invalid reference format",
		"a@sha256:12":                     "invalid reference format",
		"-a":                              "invalid reference format",
		"a:" + strings.Repeat("x", 129):   "invalid reference format",
		hex:                               fmt.Sprintf("invalid repository name (%s), cannot specify 64-byte hexadecimal strings", hex),
		"a.b/" + strings.Repeat("x", 256): "repository name must not be more than 255 characters",
	} {
		_, err := ref.Parse(in)
		if err == nil || err.Error() != want || !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%q: error %v, want %q", in, err, want)
		}
	}
}

func TestParts(t *testing.T) {
	r, err := ref.ParseName("u/x")
	if err != nil || r.Tag != "" || r.String() != "docker.io/u/x" {
		t.Errorf("ParseName: %v, %v", r, err)
	}
	tagged, err := r.WithTag("v1")
	if err != nil || tagged.String() != "docker.io/u/x:v1" || tagged.Identifier() != "v1" {
		t.Errorf("WithTag: %v, %v", tagged, err)
	}
	if _, err := r.WithTag("a b"); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("WithTag of no tag: %v", err)
	}
	fixed := tagged.WithDigest("sha256:" + hex)
	if fixed.Tag != "" || fixed.Identifier() != "sha256:"+hex || fixed.FamiliarName() != "u/x" {
		t.Errorf("WithDigest: %v", fixed)
	}
	if !(ref.Ref{}).IsZero() || (ref.Ref{}).String() != "" || r.IsZero() {
		t.Error("the zero Ref is not what it should be")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"x", "h:1/a/b:c@sha256:" + hex, "FOO", "[::1]:5/x", "docker.io/library/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ref.Parse(s)
		if err != nil {
			if !errors.Is(err, errs.ErrInvalid) {
				t.Errorf("%q: error of another kind: %v", s, err)
			}
			return
		}
		again, err := ref.Parse(r.String())
		if err != nil || again != r {
			t.Errorf("%q: %q parses as %+v, %v", s, r, again, err)
		}
	})
}
