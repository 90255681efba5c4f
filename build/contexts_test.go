package build

import (
	"archive/tar"
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamedDirectory(t *testing.T) {
	b := newBench(t, map[string]string{
		"a": "a", "other/o": "o", "other/x.md": "x", "other/.dockerignore": "*.md\n.dockerignore\n", "second/s": "s",
	})
	other, second := filepath.Join(b.dir, "other"), filepath.Join(b.dir, "second")
	tests := []struct {
		name, dockerfile string
		contexts         map[string]string
		platform         string
		want             string
	}{
		{"copied from", "FROM scratch\nCOPY --from=o . /\n", map[string]string{"o": other}, "", "o"},
		{"built upon", "FROM o\nCOPY a /\n", map[string]string{"o": other}, "", "a o"},
		{"linked upon", "FROM o\nCOPY --link a /\n", map[string]string{"o": other}, "", "a o"},
		{"as the result", "FROM o\n", map[string]string{"o": other}, "", "o"},
		{"instead of a stage", "FROM scratch AS st\nCOPY a /\nFROM scratch\nCOPY --from=st . /\n", map[string]string{"st": other}, "", "o"},
		{"instead of an image", "FROM scratch\nCOPY --from=alpine . /\n", map[string]string{"alpine": other}, "", "o"},
		{"for one platform", "FROM o\n", map[string]string{"o": other, "o::linux/arm64": second}, "linux/arm64", "s"},
		{"for another platform", "FROM o\n", map[string]string{"o": other, "o::linux/arm64": second}, "linux/amd64", "o"},
		{
			"named like the build's own", "FROM scratch\nCOPY a /\nCOPY --from=context o /\nCOPY --from=dockerfile s /\n",
			map[string]string{"context": other, "dockerfile": second},
			"", "a o s",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.TB = t
			b.write("Dockerfile", tt.dockerfile)
			r := Request{BuildContexts: tt.contexts}
			if tt.platform != "" {
				r.Platforms = []string{tt.platform}
			}
			if got := names(b.files(r)); got != tt.want {
				t.Errorf("files %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLayersWithoutHistory(t *testing.T) {
	b := newBench(t, map[string]string{"a": "a", "other/o": "o", "Dockerfile": "FROM o\nCOPY a /\n"})
	c := b.config(b.build(Request{BuildContexts: map[string]string{"o": filepath.Join(b.dir, "other")}}))
	var got []string
	for _, h := range c.History {
		got = append(got, h.CreatedBy+" ("+h.Comment+")")
	}
	want := []string{"COPY a / # buildkit (buildkit.dockerfile.v0)", "[1/2] COPY a / (buildkit.exporter.image.v0)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(c.RootFS.DiffIDs); n != 2 {
		t.Errorf("%d layers, want 2", n)
	}
}

func TestStdin(t *testing.T) {
	b := newBench(t, nil)
	t.Run("Dockerfile", func(t *testing.T) {
		b.TB = t
		got := b.files(Request{Context: "-", Stdin: strings.NewReader("FROM scratch\nCOPY <<X /x\nhi\nX\n")})
		if diff := cmp.Diff(map[string]string{"x": "hi\n"}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("its name", func(t *testing.T) {
		b.TB = t
		_, err := b.try(Request{Context: "-", Stdin: strings.NewReader("FROM scratch\nCOPPY x /\n")})
		if err == nil || !strings.Contains(err.Error(), "Dockerfile:2") || strings.Contains(err.Error(), "stdin-") {
			t.Errorf("error %v, want one that points at Dockerfile:2", err)
		}
	})
	t.Run("tar", func(t *testing.T) {
		b.TB = t
		got := b.files(Request{Context: "-", Stdin: tarOf(t, "Dockerfile", "FROM scratch\nCOPY f /\n", "f", "1")})
		if diff := cmp.Diff(map[string]string{"f": "1"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// A relative -f with a remote context is a path inside it, whatever is here.
func TestDockerfileOfRemoteContext(t *testing.T) {
	b := newBench(t, nil)
	body := tarOf(t, "Dockerfile", "FROM scratch\nCOPY f /remote\n", "sub/D", "FROM scratch\nCOPY f /sub\n", "f", "1").Bytes()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
	defer s.Close()
	here := t.TempDir()
	t.Chdir(here)
	for _, f := range []string{"Dockerfile", "sub/D"} {
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte("FROM scratch\nCOPY f /local\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ file, want string }{
		{"", "remote"},
		{"Dockerfile", "remote"},
		{"sub/D", "sub"},
		{filepath.Join(here, "Dockerfile"), "local"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			b.TB = t
			if got := names(b.files(Request{Context: s.URL + "/c.tar", Dockerfile: tt.file})); got != tt.want {
				t.Errorf("files %q, want %q", got, tt.want)
			}
		})
	}
}

// tarOf makes a tar of names and contents.
func tarOf(t testing.TB, files ...string) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for i := 0; i < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, files[i+1])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &buf
}
