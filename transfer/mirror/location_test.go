package mirror_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/transfer/mirror"
)

func TestParseLocation(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "a:b")
	must(t, os.WriteFile(odd, nil, 0o644))
	for _, tt := range []struct {
		in   string
		want mirror.Location
		bad  bool
	}{
		{"alpine", mirror.Location{Kind: mirror.Registry, Name: "docker.io/library/alpine"}, false},
		{"docker://alpine:3", mirror.Location{Kind: mirror.Registry, Name: "docker.io/library/alpine:3"}, false},
		{"localhost:5000/a/b:c", mirror.Location{Kind: mirror.Registry, Name: "localhost:5000/a/b:c"}, false},
		{"registry:5000/a", mirror.Location{Kind: mirror.Registry, Name: "registry:5000/a"}, false},
		{"oci:5000/a", mirror.Location{Kind: mirror.Layout, Path: "5000/a"}, false},
		{"store:abc123", mirror.Location{Kind: mirror.Store, Name: "abc123"}, false},
		{"docker-daemon:x:1", mirror.Location{Kind: mirror.Store, Name: "x:1"}, false},
		{"oci:dir", mirror.Location{Kind: mirror.Layout, Path: "dir"}, false},
		{"oci:dir:host:5000/a:1", mirror.Location{Kind: mirror.Layout, Path: "dir", Name: "host:5000/a:1"}, false},
		{"oci-archive:a.tar:v1", mirror.Location{Kind: mirror.Archive, Path: "a.tar", Name: "v1"}, false},
		{"docker-archive:" + odd, mirror.Location{Kind: mirror.DockerArchive, Path: odd}, false},
		{"./a.tar", mirror.Location{Kind: mirror.Archive, Path: "./a.tar"}, false},
		{"./a.tar.gz:v1", mirror.Location{Kind: mirror.Archive, Path: "./a.tar.gz", Name: "v1"}, false},
		{dir, mirror.Location{Kind: mirror.Layout, Path: dir}, false},
		{"../x", mirror.Location{Kind: mirror.Layout, Path: "../x"}, false},
		{"-", mirror.Location{Kind: mirror.Archive, Path: "-"}, false},
		{"", mirror.Location{}, true},
		{"store:", mirror.Location{}, true},
		{"oci:", mirror.Location{}, true},
		{"a/UPPER", mirror.Location{}, true},
	} {
		got, err := mirror.ParseLocation(tt.in)
		if (err != nil) != tt.bad || err != nil && !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("ParseLocation(%q): %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); !tt.bad && diff != "" {
			t.Errorf("ParseLocation(%q): %s", tt.in, diff)
		}
	}
}
