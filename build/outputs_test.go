package build

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/content/layout"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// tree lists the files below dir.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var out []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			out = append(out, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func TestLocalOutput(t *testing.T) {
	b := newBench(t, map[string]string{"f": "f", "Dockerfile": "FROM scratch\nARG TARGETARCH\nCOPY f /d/\nCOPY f /only-$TARGETARCH\n"})
	both := []string{"linux/amd64", "linux/arm64"}
	tests := []struct {
		name  string
		r     Request
		attrs map[string]string
		want  string
	}{
		{"one platform", Request{Platforms: both[:1]}, nil, "d/f old only-amd64"},
		{"two", Request{Platforms: both}, nil, "linux_amd64/d/f linux_amd64/only-amd64 linux_arm64/d/f linux_arm64/only-arm64 old"},
		{"split", Request{Platforms: both[1:]}, map[string]string{"platform-split": "true"}, "linux_arm64/d/f linux_arm64/only-arm64 old"},
		{
			"asked for as several",
			Request{Platforms: both[:1], BuildArgs: map[string]string{"BUILDKIT_MULTI_PLATFORM": "1"}},
			nil,
			"linux_amd64/d/f linux_amd64/only-amd64 old",
		},
		{"delete", Request{Platforms: both[:1]}, map[string]string{"mode": "delete"}, "d/f only-amd64"},
		{
			"delete and split",
			Request{Platforms: both},
			map[string]string{"mode": "delete"},
			"linux_amd64/d/f linux_amd64/only-amd64 linux_arm64/d/f linux_arm64/only-arm64",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.TB = t
			dest := t.TempDir()
			if err := os.WriteFile(filepath.Join(dest, "old"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			tt.r.Outputs = []Output{{Type: "local", Dest: dest, Attrs: tt.attrs}}
			b.build(tt.r)
			if got := tree(t, dest); got != tt.want {
				t.Errorf("files %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("two in one place", func(t *testing.T) {
		b.TB = t
		_, err := b.try(Request{Platforms: both, Outputs: []Output{{Type: "local", Dest: t.TempDir(), Attrs: map[string]string{"platform-split": "false"}}}})
		if !errors.Is(err, errs.ErrConflict) {
			t.Errorf("error %v, want a conflict", err)
		}
	})
}

// Deleting follows no links out of the destination.
func TestLocalDeleteStaysInside(t *testing.T) {
	b := newBench(t, map[string]string{"f": "f", "Dockerfile": "FROM scratch\nCOPY f /\n"})
	outside, dest := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "precious"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dest, "link")); err != nil {
		t.Fatal(err)
	}
	b.build(Request{Outputs: []Output{{Type: "local", Dest: dest, Attrs: map[string]string{"mode": "delete"}}}})
	if got := tree(t, dest) + ", " + tree(t, outside); got != "f, precious" {
		t.Errorf("files %q", got)
	}
}

func TestOutputTimes(t *testing.T) {
	b := newBench(t, map[string]string{"old": "", "new": "", "Dockerfile": "FROM scratch\nWORKDIR /w\nCOPY old new ./\n"})
	past := time.Unix(1000000000, 0)
	if err := os.Chtimes(filepath.Join(b.dir, "old"), past, past); err != nil {
		t.Fatal(err)
	}
	epoch := map[string]string{"SOURCE_DATE_EPOCH": "1500000000"}
	tests := []struct {
		name     string
		r        Request
		typ      string
		attrs    map[string]string
		old, new int64 // 0 is what it was
	}{
		{"tar", Request{BuildArgs: epoch}, "tar", nil, 1500000000, 1500000000},
		{"tar with its own", Request{BuildArgs: epoch}, "tar", map[string]string{"source-date-epoch": "5"}, 5, 5},
		{"image", Request{BuildArgs: epoch}, "oci", nil, past.Unix(), 0},
		{"rewritten", Request{BuildArgs: epoch}, "oci", map[string]string{"rewrite-timestamp": "true"}, past.Unix(), 1500000000},
		{"reproducible", Request{Reproducible: true}, "oci", nil, 0, 0},
		{"reproducible with an epoch", Request{Reproducible: true, BuildArgs: epoch}, "oci", nil, 1500000000, 1500000000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.TB = t
			var buf bytes.Buffer
			attrs := map[string]string{"compression": "uncompressed"}
			for k, v := range tt.attrs {
				attrs[k] = v
			}
			tt.r.Outputs, tt.r.Stdout = []Output{{Type: tt.typ, Dest: "-", Attrs: attrs}}, &buf
			b.build(tt.r)
			times := map[string]int64{}
			mtimes(t, &buf, times)
			if times["w/old"] != tt.old {
				t.Errorf("old has %d, want %d", times["w/old"], tt.old)
			}
			if got := times["w/new"]; got != tt.new && !(tt.name == "image" && got > past.Unix()) {
				t.Errorf("new has %d, want %d", got, tt.new)
			}
		})
	}
}

// mtimes collects the times of a tar's files, and of the tars in it.
func mtimes(t testing.TB, r io.Reader, into map[string]int64) {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err != nil {
			return // also where a file is no tar
		}
		into[h.Name] = h.ModTime.Unix()
		if strings.HasPrefix(h.Name, "blobs/") {
			mtimes(t, tr, into)
		}
	}
}

func TestReproducible(t *testing.T) {
	dockerfile := base + "WORKDIR /w/x\nCOPY . .\nRUN mkdir -p /q/r && echo hi >/q/r/f && ln -s f /q/l && ln /q/r/f /q/h\n"
	one := newBench(t, map[string]string{"Dockerfile": dockerfile, "a": "1", "b": "2", "d/c": "3"})
	two := newBench(t, map[string]string{"d/c": "3", "b": "2", "a": "1", "Dockerfile": dockerfile})
	past := time.Unix(1000000000, 0)
	for _, f := range []string{"a", "b", "d/c", "d"} {
		if err := os.Chtimes(filepath.Join(two.dir, f), past, past); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(filepath.Join(two.dir, f), 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range []map[string]string{nil, {"SOURCE_DATE_EPOCH": "1500000000"}} {
		r := Request{Reproducible: true, BuildArgs: args}
		if a, b := one.build(r).Digest, two.build(r).Digest; a != b {
			t.Errorf("with %v: %s and %s", args, a, b)
		}
	}
}

// An archive lists the image with the annotations of its descriptor, and the
// metadata names the digest that is in the archive.
func TestArchiveIndex(t *testing.T) {
	b := newBench(t, map[string]string{"f": "f", "Dockerfile": "FROM scratch\nCOPY f /\n"})
	tests := []struct {
		name        string
		platforms   []string
		annotations []string
		want        map[string]string
	}{
		{"plain", nil, nil, map[string]string{"org.opencontainers.image.created": "2017-07-14T02:40:00Z"}},
		{
			"manifest", nil,
			[]string{"manifest-descriptor:k=v", "manifest:m=x", "manifest-descriptor[linux/s390x]:no=no"},
			map[string]string{"org.opencontainers.image.created": "2017-07-14T02:40:00Z", "k": "v"},
		},
		{
			"index",
			[]string{"linux/amd64", "linux/arm64"},
			[]string{"index-descriptor:k=v", "index-descriptor:org.opencontainers.image.created=then", "manifest-descriptor:no=no"},
			map[string]string{"org.opencontainers.image.created": "then", "k": "v"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.TB = t
			dest := filepath.Join(t.TempDir(), "out")
			res := b.build(Request{
				Platforms: tt.platforms, Annotations: tt.annotations, BuildArgs: map[string]string{"SOURCE_DATE_EPOCH": "1500000000"},
				Outputs: []Output{{Type: "oci", Dest: dest, Attrs: map[string]string{"tar": "false"}}},
			})
			l, err := layout.Open(dest)
			if err != nil {
				t.Fatal(err)
			}
			list, err := l.List(t.Context())
			if err != nil || len(list) != 1 {
				t.Fatalf("entries %v, error %v", list, err)
			}
			raw, err := os.ReadFile(filepath.Join(dest, "index.json"))
			if err != nil {
				t.Fatal(err)
			}
			var x image.Index
			if err := json.Unmarshal(raw, &x); err != nil {
				t.Fatal(err)
			}
			d := x.Manifests[0]
			if diff := cmp.Diff(tt.want, d.Annotations); diff != "" {
				t.Error(diff)
			}
			if len(tt.platforms) == 0 && (d.Platform == nil || d.Platform.OS != "linux") {
				t.Errorf("platform %v", d.Platform)
			}
			if res.Digest != d.Digest || res.Metadata["containerimage.digest"] != d.Digest.String() {
				t.Errorf("result has %s, metadata %v, the archive %s", res.Digest, res.Metadata["containerimage.digest"], d.Digest)
			}
		})
	}
}

func TestAnnotationWithUnknownPlace(t *testing.T) {
	b := newBench(t, map[string]string{"Dockerfile": "FROM scratch\n"})
	if _, err := b.try(Request{Annotations: []string{"idnex:k=v"}}); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

// A base image that no step needed is fetched when it goes out.
func TestBaseFromLayout(t *testing.T) {
	b := newBench(t, map[string]string{"f": "f", "Dockerfile": "FROM scratch\nCOPY f /\nLABEL a=b\n"})
	gz, plain := filepath.Join(t.TempDir(), "gz"), filepath.Join(t.TempDir(), "plain")
	b.build(Request{Tags: []string{"x:v1"}, Outputs: []Output{
		{Type: "oci", Dest: gz, Attrs: map[string]string{"tar": "false", "compression": "gzip"}},
		{Type: "oci", Dest: plain, Attrs: map[string]string{"tar": "false", "compression": "uncompressed"}},
	}})
	b.store = openStore(t)
	for _, from := range []string{gz, plain + ":v1", plain} {
		for _, dockerfile := range []string{"FROM l\n", "FROM l\nCOPY --from=l /f /g\n", "FROM l\n"} {
			b.write("Dockerfile", dockerfile)
			dest := filepath.Join(t.TempDir(), "out")
			r := Request{BuildContexts: map[string]string{"l": "oci-layout://" + from}}
			r.Outputs = []Output{{Type: "oci", Dest: dest, Attrs: map[string]string{"tar": "false", "compression": "uncompressed"}}}
			if c := b.config(b.build(r)); c.Config.Labels["a"] != "b" {
				t.Errorf("%s: labels %v", from, c.Config.Labels)
			}
		}
	}
}

// With settled times an image has the ID that it has when BuildKit builds it
// (v0.33.1, type=oci,rewrite-timestamp=true).
func TestSameIDAsBuildKit(t *testing.T) {
	b := newBench(t, map[string]string{"a": "one\n", "d/b": "two\n", "Dockerfile": `FROM scratch
WORKDIR /w/x
COPY a ./
COPY --chown=1:2 --chmod=750 d /d/
ENV A=b PATH=/bin
LABEL c="d e"
EXPOSE 80
VOLUME /v
CMD ["x", "y"]
`})
	res := b.build(Request{
		Platforms: []string{"linux/amd64"}, BuildArgs: map[string]string{"SOURCE_DATE_EPOCH": "1500000000"},
		Outputs: []Output{{Type: "image", Attrs: map[string]string{"rewrite-timestamp": "true"}}},
	})
	if want := "sha256:b93adc5d0a3feb1c82975cef4c1b9a8a7943301f0a0cc2a14a429a2e4df0a77c"; res.ImageID.String() != want {
		t.Errorf("image ID %s, want %s", res.ImageID, want)
	}
}
