package server_test

import (
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage/files"
)

// TestHostile sends what no client does: nothing of it may be taken, nor touch
// anything outside of the registry's directory.
func TestHostile(t *testing.T) {
	base := t.TempDir()
	s, err := files.Open(filepath.Join(base, "registry"), files.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g := server.New(s, server.Options{})
	do := func(method, path, query, body string) int {
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header.Set("Content-Type", image.MediaTypeIndex)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return w.Code
	}
	d := digest.FromString("x").String()
	index := `{"schemaVersion":2,"manifests":[]}`
	names := []string{
		"..", "../..", "a/../b", "./a", "a/.", "a//b", "/a", "a/", "_index.log", "a/_index.log", "A", "a b", "a\x00b", "a\nb", "a%2fb", `a\b`,
		"a:b", "a@b", "ä", strings.Repeat("a", 256), strings.Repeat("a/", 200) + "a", ".new-1", "-", "a..b",
	}
	for _, name := range names {
		for _, tt := range []struct{ method, path, query, body string }{
			{"PUT", "/manifests/v1", "", index},
			{"POST", "/blobs/uploads/", "digest=" + d, "x"},
			{"POST", "/blobs/uploads/", "", ""},
			{"GET", "/tags/list", "", ""},
			{"GET", "/blobs/" + d, "", ""},
		} {
			if got := do(tt.method, "/v2/"+name+tt.path, tt.query, tt.body); got < 400 || got >= 500 {
				t.Errorf("%s %q%s: %d", tt.method, name, tt.path, got)
			}
		}
		if got := do("POST", "/v2/a/blobs/uploads/", "mount="+d+"&from="+strings.ReplaceAll(name, "%", "%25"), ""); got != 400 && got != 202 {
			t.Errorf("mount from %q: %d", name, got)
		}
	}
	for _, ref := range []string{"..", ".", "../x", ".x", "-x", strings.Repeat("a", 129), "a b", "a\x00", "sha256:..", "sha256:../../x", "md5:" + strings.Repeat("0", 32), "sha256:" + strings.Repeat("A", 64)} {
		for _, tt := range []struct{ method, path, body string }{
			{"PUT", "/v2/a/manifests/", index},
			{"GET", "/v2/a/manifests/", ""},
			{"DELETE", "/v2/a/manifests/", ""},
			{"GET", "/v2/a/blobs/", ""},
			{"PATCH", "/v2/a/blobs/uploads/", "x"},
			{"DELETE", "/v2/a/blobs/uploads/", ""},
		} {
			if got := do(tt.method, tt.path+ref, "", tt.body); got < 400 || got >= 500 {
				t.Errorf("%s %s%q: %d", tt.method, tt.path, ref, got)
			}
		}
	}
	for name, body := range map[string]string{
		"deep":        `{"schemaVersion":2,"manifests":` + strings.Repeat("[", 1<<20),
		"deep object": strings.Repeat(`{"a":`, 1<<18) + "1" + strings.Repeat("}", 1<<18),
		"large":       `{"schemaVersion":2,"manifests":[],"x":"` + strings.Repeat("x", image.MaxMetadata) + `"}`,
		"two types":   `{"schemaVersion":2,"mediaType":"` + image.MediaTypeManifest + `","manifests":[]}`,
		"no digest":   `{"schemaVersion":2,"manifests":[{"digest":"../../x","size":1}]}`,
		"negative":    `{"schemaVersion":2,"manifests":[{"digest":"` + d + `","size":-1}]}`,
	} {
		if got := do("PUT", "/v2/a/manifests/v1", "", body); got != 400 && got != 413 {
			t.Errorf("%s: %d", name, got)
		}
	}
	var many strings.Builder
	for i := range 30000 {
		fmt.Fprintf(&many, `,{"mediaType":"x","digest":%q,"size":1}`, digest.FromString(fmt.Sprint(i)))
	}
	if got := do("PUT", "/v2/a/manifests/many", "", `{"schemaVersion":2,"manifests":[`+many.String()[1:]+`]}`); got != 201 {
		t.Errorf("an index of 30,000: %d", got)
	}
	entries, err := os.ReadDir(base)
	if err != nil || len(entries) != 1 {
		t.Errorf("outside: %v, %v", entries, err)
	}
	_ = filepath.WalkDir(filepath.Join(base, "registry", "repos"), func(path string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(filepath.Join(base, "registry", "repos"), path)
		if rel != "." && rel != "a" && rel != filepath.Join("a", "_index.log") {
			t.Errorf("made %s", rel)
		}
		return err
	})
}
