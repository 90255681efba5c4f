package mirror_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/transfer/mirror"
)

// TestCopyWhole takes an image with all that refers to it through every kind of place
// and looks at what arrives in a registry.
func TestCopyWhole(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name     string
		old      bool // the last registry knows no referrers
		stations []string
	}{
		{name: "straight"},
		{name: "to a registry without referrers", old: true},
		{name: "by an OCI layout", stations: []string{"oci:" + dir + "/layout"}},
		{name: "by a named entry of a layout", stations: []string{"oci:" + dir + "/named:v1"}},
		{name: "by an OCI archive", stations: []string{"oci-archive:" + dir + "/a.tar"}},
		{name: "by docker's archive", stations: []string{"docker-archive:" + dir + "/b.tar"}},
		{name: "by path", stations: []string{dir + "/c.tar", dir + "/d"}},
		{name: "and back", old: true, stations: []string{"oci:" + dir + "/back"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first, last := serve(t, false), serve(t, tt.old)
			f := makeFixture(t, repository(t, first.host+"/a/b"), "1")
			from := first.host + "/a/b:1"
			for _, to := range append(tt.stations, last.host+"/c:2") {
				if d := copyImage(t, from, to, mirror.CopyOptions{}); d.Digest != f.root.Digest {
					t.Fatalf("%s: copied %s, want %s", to, d.Digest, f.root.Digest)
				}
				from = to
			}
			repo := repository(t, last.host+"/c")
			got, err := repo.Resolve(t.Context(), "2")
			must(t, err)
			if got.Digest != f.root.Digest {
				t.Errorf("tag 2 is %s, want %s", got.Digest, f.root.Digest)
			}
			for _, d := range []image.Descriptor{f.amd64, f.arm64, f.signature, f.sbom, f.second} {
				if ok, err := repo.Exists(t.Context(), d); !ok || err != nil {
					t.Errorf("%s is not there: %v", d.Digest, err)
				}
			}
			refers(t, repo, f.root, f.signature)
			refers(t, repo, f.amd64, f.sbom)
			refers(t, repo, f.sbom, f.second)
			if _, err := repo.Resolve(t.Context(), cosignTag(f.root)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCopyWithin(t *testing.T) {
	r := serve(t, false)
	f := makeFixture(t, repository(t, r.host+"/a"), "1")
	r.requests()
	copyImage(t, r.host+"/a:1", r.host+"/b:1", mirror.CopyOptions{})
	for _, line := range r.requests() {
		if strings.HasPrefix(line, "PATCH") || strings.HasPrefix(line, "PUT /v2/b/blobs") || strings.HasPrefix(line, "GET /v2/a/blobs") {
			t.Errorf("a blob was sent: %s", line)
		}
	}
	refers(t, repository(t, r.host+"/b"), f.root, f.signature)
}

func TestCopySome(t *testing.T) {
	arm := image.Platform{OS: "linux", Architecture: "arm64"}
	amd := image.Platform{OS: "linux", Architecture: "amd64"}
	for _, tt := range []struct {
		name     string
		o        mirror.CopyOptions
		want     []string // manifests there, of amd64, arm64, signature
		mt       string
		err      error
		children int
	}{
		{"one platform", mirror.CopyOptions{Platforms: []image.Platform{arm}}, []string{"arm64"}, image.MediaTypeManifest, nil, 0},
		{"all platforms by name", mirror.CopyOptions{Platforms: []image.Platform{arm, amd}}, []string{"amd64", "arm64"}, image.MediaTypeIndex, nil, 2},
		{"image only", mirror.CopyOptions{ImageOnly: true}, []string{"amd64", "arm64"}, image.MediaTypeIndex, nil, 2},
		{"one that is not there", mirror.CopyOptions{Platforms: []image.Platform{{OS: "linux", Architecture: "s390x"}}}, nil, "", errs.ErrNotFound, 0},
		{"two of which one is not there", mirror.CopyOptions{Platforms: []image.Platform{arm, {OS: "linux", Architecture: "s390x"}}}, nil, "", errs.ErrNotFound, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first, last := serve(t, false), serve(t, false)
			f := makeFixture(t, repository(t, first.host+"/a"), "1")
			d, err := tryCopy(t, places(), first.host+"/a:1", last.host+"/a:1", tt.o)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			repo := repository(t, last.host+"/a")
			for name, m := range map[string]image.Descriptor{"amd64": f.amd64, "arm64": f.arm64, "signature": f.signature} {
				got, err := repo.Exists(t.Context(), m)
				must(t, err)
				if want := strings.Contains(strings.Join(tt.want, " "), name); got != want {
					t.Errorf("%s there: %v, want %v", name, got, want)
				}
			}
			if tt.err != nil {
				if _, err := repo.Resolve(t.Context(), "1"); !errors.Is(err, errs.ErrNotFound) {
					t.Errorf("the tag is there after an error: %v", err)
				}
				return
			}
			if d.MediaType != tt.mt {
				t.Errorf("copied a %s, want a %s", d.MediaType, tt.mt)
			}
		})
	}
}

// TestCopyPart copies two platforms of three into an index of its own.
func TestCopyPart(t *testing.T) {
	first, last := serve(t, false), serve(t, false)
	repo := repository(t, first.host+"/a")
	x := pushIndex(t, repo, pushImage(t, repo, "amd64", "a"), pushImage(t, repo, "arm64", "b"), pushImage(t, repo, "riscv64", "c"))
	must(t, repo.Tag(t.Context(), "1", x))
	d := copyImage(t, first.host+"/a:1", last.host+"/a:1", mirror.CopyOptions{Platforms: []image.Platform{
		{OS: "linux", Architecture: "riscv64"}, {OS: "linux", Architecture: "amd64"},
	}})
	raw, err := content.ReadAll(t.Context(), repository(t, last.host+"/a"), d)
	must(t, err)
	got, err := image.ParseIndex(raw)
	must(t, err)
	var archs []string
	for _, m := range got.Manifests {
		archs = append(archs, m.Platform.Architecture)
	}
	if strings.Join(archs, " ") != "amd64 riscv64" {
		t.Errorf("platforms %v, want amd64 and riscv64", archs)
	}
}

// TestArchiveIsWhole checks that an archive appears when it is whole, and that none is
// written over.
func TestArchiveIsWhole(t *testing.T) {
	r := serve(t, false)
	makeFixture(t, repository(t, r.host+"/a"), "1")
	dir := t.TempDir()
	path := filepath.Join(dir, "a.tar")
	if _, err := tryCopy(t, places(), r.host+"/a:none", "oci-archive:"+path, mirror.CopyOptions{}); !errors.Is(err, errs.ErrNotFound) {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("after an error there is %v", left)
	}
	copyImage(t, r.host+"/a:1", "oci-archive:"+path, mirror.CopyOptions{})
	if _, err := tryCopy(t, places(), r.host+"/a:1", "oci-archive:"+path, mirror.CopyOptions{}); !errors.Is(err, errs.ErrConflict) {
		t.Errorf("over an archive: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("there is %v", left)
	}
}

// TestStream copies through standard output and input.
func TestStream(t *testing.T) {
	r := serve(t, false)
	f := makeFixture(t, repository(t, r.host+"/a"), "1")
	var tar bytes.Buffer
	p := places()
	p.Stdout = &tar
	_, err := tryCopy(t, p, r.host+"/a:1", "-", mirror.CopyOptions{})
	must(t, err)
	p.Stdin = &tar
	d, err := tryCopy(t, p, "oci-archive:-:"+r.host+"/a:1", r.host+"/b:1", mirror.CopyOptions{})
	must(t, err)
	if d.Digest != f.root.Digest {
		t.Errorf("%s came out, %s went in", d.Digest, f.root.Digest)
	}
	refers(t, repository(t, r.host+"/b"), f.root, f.signature)
}
