package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/files"
)

// storages are the kinds of storage there are.
var storages = map[string]func(*testing.T) *storage.Storage{
	"memory": func(*testing.T) *storage.Storage { return server.NewMemory() },
	"files": func(t *testing.T) *storage.Storage {
		s, err := files.Open(t.TempDir(), files.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
}

// backends runs test against each storage.
func backends(t *testing.T, test func(*testing.T, *registry)) {
	for name, open := range storages {
		t.Run(name, func(t *testing.T) { test(t, start(t, open(t), server.Options{})) })
	}
}

// registry is one that runs for a test.
type registry struct {
	*testing.T
	url string
}

func start(t *testing.T, b *storage.Storage, o server.Options) *registry {
	srv := httptest.NewServer(server.New(b, o))
	t.Cleanup(srv.Close)
	return &registry{t, srv.URL}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; header is "Name: value" lines.
func (r *registry) do(method, path, body string, header ...string) answer {
	r.Helper()
	if !strings.HasPrefix(path, "http") {
		path = r.url + path
	}
	req, err := http.NewRequest(method, path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

// want is do with a status that has to come.
func (r *registry) want(status int, method, path, body string, header ...string) answer {
	r.Helper()
	a := r.do(method, path, body, header...)
	if a.status != status {
		r.Fatalf("%s %s: %d, want %d\n%s", method, path, a.status, status, a.body)
	}
	return a
}

func (r *registry) begin(repo string) string {
	r.Helper()
	at := r.want(202, "POST", "/v2/"+repo+"/blobs/uploads/", "").header.Get("Location")
	if at == "" || strings.Contains(at, "?") {
		r.Fatalf("upload location %q", at)
	}
	return at
}

func (r *registry) blob(repo, data string) digest.Digest {
	r.Helper()
	d := digest.FromString(data)
	r.want(201, "PUT", r.begin(repo)+"?digest="+d.String(), data)
	return d
}

// manifest pushes an image manifest under each reference and gives its digest.
func (r *registry) manifest(repo, extra string, refs ...string) (digest.Digest, string) {
	r.Helper()
	c := r.blob(repo, "{}")
	raw := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.test.config","digest":%q,"size":2},"layers":[]%s}`,
		image.MediaTypeManifest, c, extra)
	d := digest.FromString(raw)
	for _, ref := range refs {
		r.want(201, "PUT", "/v2/"+repo+"/manifests/"+ref, raw, "Content-Type: "+image.MediaTypeManifest)
	}
	return d, raw
}

func TestBase(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		if a := r.want(200, "GET", "/v2/", ""); a.header.Get("Docker-Distribution-Api-Version") != "registry/2.0" {
			t.Errorf("header %v", a.header)
		}
		for _, tt := range []struct {
			method, path string
			status       int
			code         string
		}{
			{"GET", "/", 404, "UNSUPPORTED"},
			{"GET", "/v2/a", 404, "UNSUPPORTED"},
			{"PUT", "/v2/", 405, "UNSUPPORTED"},
			{"GET", "/v2/UP/manifests/x", 400, "NAME_INVALID"},
			{"GET", "/v2/a..b/manifests/x", 400, "NAME_INVALID"},
			{"GET", "/v2/a/manifests/x", 404, "MANIFEST_UNKNOWN"},
			{"GET", "/v2/a/manifests/sha256:12", 400, "DIGEST_INVALID"},
			{"GET", "/v2/a/blobs/sha256:12", 400, "DIGEST_INVALID"},
			{"GET", "/v2/a/blobs/" + digest.FromString("no").String(), 404, "BLOB_UNKNOWN"},
			{"GET", "/v2/a/blobs/uploads/NO", 404, "BLOB_UPLOAD_UNKNOWN"},
			{"GET", "/v2/a/tags/list", 404, "NAME_UNKNOWN"},
			{"POST", "/v2/a/manifests/x", 405, "UNSUPPORTED"},
			{"POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", 400, "DIGEST_INVALID"},
		} {
			a := r.want(tt.status, tt.method, tt.path, "")
			if !strings.Contains(a.body, `"code":"`+tt.code+`"`) {
				t.Errorf("%s %s: body %s, want code %s", tt.method, tt.path, a.body, tt.code)
			}
		}
	})
}

func TestBlobs(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		d := r.blob("a/b", "hello world")
		at := "/v2/a/b/blobs/" + d.String()
		if a := r.want(200, "GET", at, ""); a.body != "hello world" || a.header.Get("Docker-Content-Digest") != d.String() {
			t.Errorf("got %q, %v", a.body, a.header)
		}
		if a := r.want(200, "HEAD", at, ""); a.header.Get("Content-Length") != "11" || a.header.Get("Docker-Content-Digest") != d.String() {
			t.Errorf("HEAD: %v", a.header)
		}
		if a := r.want(206, "GET", at, "", "Range: bytes=6-8"); a.body != "wor" || a.header.Get("Content-Range") != "bytes 6-8/11" {
			t.Errorf("range: %q, %v", a.body, a.header)
		}
		r.want(416, "GET", at, "", "Range: bytes=20-")

		mount := "/v2/c/blobs/uploads/?from=a/b&mount=" + d.String()
		r.want(201, "POST", mount, "")
		r.want(202, "POST", "/v2/c/blobs/uploads/?from=a/b&mount="+digest.FromString("no").String(), "")
		r.want(202, "DELETE", at, "")
		r.want(404, "HEAD", at, "")
		r.want(200, "HEAD", "/v2/c/blobs/"+d.String(), "")
	})
}

func TestUploads(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		t.Run("chunks, resumed", func(t *testing.T) {
			r.T = t
			at := r.begin("a")
			a := r.want(202, "PATCH", at, "hello", "Content-Range: 0-4")
			if a.header.Get("Range") != "0-4" {
				t.Errorf("range %q", a.header.Get("Range"))
			}
			r.want(416, "PATCH", at, "x", "Content-Range: 9-9")
			r.want(416, "PATCH", at, "x", "Content-Range: 0-0")
			if a := r.want(204, "GET", at, ""); a.header.Get("Range") != "0-4" || a.header.Get("Location") != at {
				t.Errorf("progress %v", a.header)
			}
			r.want(202, "PATCH", at, " wor", "Content-Range: 5-8")
			d := digest.FromString("hello world")
			r.want(416, "PUT", at+"?digest="+d.String(), "ld", "Content-Range: 1-2")
			a = r.want(201, "PUT", at+"?digest="+d.String(), "ld", "Content-Range: 9-10")
			if a.header.Get("Docker-Content-Digest") != d.String() {
				t.Errorf("header %v", a.header)
			}
			r.want(404, "GET", at, "")
			if a := r.want(200, "GET", a.header.Get("Location"), ""); a.body != "hello world" {
				t.Errorf("blob %q", a.body)
			}
		})
		t.Run("single POST with sha512", func(t *testing.T) {
			r.T = t
			d := digest.SHA512.FromString("single")
			r.want(201, "POST", "/v2/a/blobs/uploads/?digest="+d.String(), "single")
			r.want(200, "HEAD", "/v2/a/blobs/"+d.String(), "")
		})
		t.Run("wrong digest", func(t *testing.T) {
			r.T = t
			r.want(400, "PUT", r.begin("a")+"?digest="+digest.FromString("x").String(), "y")
			r.want(400, "PUT", r.begin("a")+"?digest=sha256:1", "y")
			r.want(400, "PUT", r.begin("a"), "y")
			r.want(404, "HEAD", "/v2/a/blobs/"+digest.FromString("y").String(), "")
		})
		t.Run("cancelled", func(t *testing.T) {
			r.T = t
			at := r.begin("a")
			r.want(204, "DELETE", at, "")
			r.want(404, "PATCH", at, "x")
		})
		t.Run("of another repository", func(t *testing.T) {
			r.T = t
			r.want(404, "GET", strings.Replace(r.begin("a"), "/v2/a/", "/v2/b/", 1), "")
		})
	})
}

func TestManifests(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		d, raw := r.manifest("a", "", "v1")
		for _, ref := range []string{"v1", d.String()} {
			a := r.want(200, "GET", "/v2/a/manifests/"+ref, "")
			if a.body != raw || a.header.Get("Content-Type") != image.MediaTypeManifest || a.header.Get("Docker-Content-Digest") != d.String() {
				t.Errorf("%s: %q %v", ref, a.body, a.header)
			}
			if a := r.want(200, "HEAD", "/v2/a/manifests/"+ref, ""); a.header.Get("Content-Length") != fmt.Sprint(len(raw)) {
				t.Errorf("HEAD %s: %v", ref, a.header)
			}
		}
		a := r.want(201, "PUT", "/v2/a/manifests/"+d.String()+"?tag=x&tag=y", raw, "Content-Type: "+image.MediaTypeManifest)
		if diff := cmp.Diff([]string{"x", "y"}, a.header["Oci-Tag"]); diff != "" {
			t.Error(diff)
		}
		r.want(200, "HEAD", "/v2/a/manifests/y", "")
		r.want(202, "DELETE", "/v2/a/manifests/x", "")
		r.want(404, "HEAD", "/v2/a/manifests/x", "")
		r.want(200, "HEAD", "/v2/a/manifests/y", "")
		r.want(202, "DELETE", "/v2/a/manifests/"+d.String(), "")
		for _, ref := range []string{"v1", "y", d.String()} {
			r.want(404, "HEAD", "/v2/a/manifests/"+ref, "")
		}
	})
}

func TestBadManifests(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		missing := digest.FromString("missing")
		man := "Content-Type: " + image.MediaTypeManifest
		for _, tt := range []struct {
			name, ref, body, header string
			status                  int
		}{
			{"no JSON", "v1", "x", man, 400},
			{"no config", "v1", `{}`, man, 400},
			{"blob missing", "v1", `{"config":{"digest":"` + missing.String() + `","size":1},"layers":[]}`, man, 404},
			{"other media type inside", "v1", `{"mediaType":"a/b"}`, man, 400},
			{"unknown type", "v1", `{}`, "Content-Type: a/b", 400},
			{"other digest", missing.String(), `{}`, man, 400},
			{"bad tag", ".v1", `{}`, man, 400},
			{"too large", "v1", strings.Repeat(" ", image.MaxMetadata+1), man, 413},
			{"index of bad digests", "v1", `{"manifests":[{"digest":"x"}]}`, "Content-Type: " + image.MediaTypeIndex, 400},
		} {
			t.Run(tt.name, func(t *testing.T) {
				r.T = t
				r.want(tt.status, "PUT", "/v2/a/manifests/"+tt.ref, tt.body, tt.header)
			})
		}
	})
}

func TestReferrers(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		subject, _ := r.manifest("a", "", "v1")
		list := func(query string) []string {
			a := r.want(200, "GET", "/v2/a/referrers/"+subject.String()+query, "")
			var x image.Index
			if err := json.Unmarshal([]byte(a.body), &x); err != nil || x.MediaType != image.MediaTypeIndex {
				t.Fatalf("%v: %s", err, a.body)
			}
			got := []string{}
			for _, d := range x.Manifests {
				got = append(got, d.ArtifactType+" "+d.Annotations["k"]+" "+d.Digest.String())
			}
			return got
		}
		if got := list(""); len(got) != 0 {
			t.Errorf("referrers of none: %v", got)
		}
		sub := fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":1}`, image.MediaTypeManifest, subject)
		sig, _ := r.manifest("a", sub+`,"artifactType":"test/sig","annotations":{"k":"v"}`, "sig")
		plain, _ := r.manifest("a", sub, "plain")
		if got := list("?artifactType=test/sig"); !cmp.Equal(got, []string{"test/sig v " + sig.String()}) {
			t.Errorf("filtered: %v", got)
		}
		if got := list(""); len(got) != 2 || !strings.Contains(strings.Join(got, "\n"), "application/vnd.test.config  "+plain.String()) {
			t.Errorf("all: %v", got)
		}
		r.want(202, "DELETE", "/v2/a/manifests/"+plain.String(), "")
		if got := list(""); len(got) != 1 {
			t.Errorf("after delete: %v", got)
		}
	})
}

func TestLists(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		r.manifest("z/b", "", "b", "a", "C", "d")
		r.manifest("a", "", "only")
		for _, tt := range []struct{ path, want, link string }{
			{"/v2/z/b/tags/list", `{"name":"z/b","tags":["C","a","b","d"]}`, ""},
			{"/v2/z/b/tags/list?n=2", `{"name":"z/b","tags":["C","a"]}`, `</v2/z/b/tags/list?last=a&n=2>; rel="next"`},
			{"/v2/z/b/tags/list?last=a&n=2", `{"name":"z/b","tags":["b","d"]}`, ""},
			{"/v2/z/b/tags/list?last=aa", `{"name":"z/b","tags":["b","d"]}`, ""},
			{"/v2/z/b/tags/list?n=0", `{"name":"z/b","tags":[]}`, ""},
			{"/v2/_catalog", `{"repositories":["a","z/b"]}`, ""},
			{"/v2/_catalog?n=1", `{"repositories":["a"]}`, `</v2/_catalog?last=a&n=1>; rel="next"`},
		} {
			a := r.want(200, "GET", tt.path, "")
			if a.body != tt.want || a.header.Get("Link") != tt.link {
				t.Errorf("%s: %s, link %q", tt.path, a.body, a.header.Get("Link"))
			}
		}
		r.want(400, "GET", "/v2/a/tags/list?n=x", "")
	})
}

func TestOptions(t *testing.T) {
	t.Run("size limit", func(t *testing.T) {
		r := start(t, server.NewMemory(), server.Options{MaxBlob: 4})
		r.blob("a", "1234")
		r.want(413, "PUT", r.begin("a")+"?digest="+digest.FromString("12345").String(), "12345")
	})
	t.Run("read only", func(t *testing.T) {
		b := server.NewMemory()
		d, _ := start(t, b, server.Options{}).manifest("a", "", "v1")
		r := start(t, b, server.Options{ReadOnly: func() bool { return true }})
		r.want(200, "GET", "/v2/a/manifests/v1", "")
		r.want(405, "POST", "/v2/a/blobs/uploads/", "")
		r.want(405, "DELETE", "/v2/a/manifests/"+d.String(), "")
	})
	t.Run("rights", func(t *testing.T) {
		var asked []string
		r := start(t, server.NewMemory(), server.Options{Authorize: func(w http.ResponseWriter, _ *http.Request, need []server.Access) bool {
			asked = append(asked, fmt.Sprint(need))
			server.WriteError(w, 403, "DENIED", "no")
			return false
		}})
		r.want(403, "GET", "/v2/", "")
		r.want(403, "GET", "/v2/a/tags/list", "")
		r.want(403, "POST", "/v2/a/blobs/uploads/?from=b&mount="+digest.FromString("x").String(), "")
		r.want(403, "DELETE", "/v2/a/manifests/v1", "")
		r.want(403, "GET", "/v2/_catalog", "")
		want := []string{"[]", "[{a pull}]", "[{a push} {b pull}]", "[{a delete}]", "[{ catalog}]"}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("rights asked for (-want +got):\n%s", diff)
		}
	})
}

func FuzzHandler(f *testing.F) {
	h := server.New(server.NewMemory(), server.Options{})
	f.Add("GET", "/v2/a/manifests/v1", "", []byte(nil))
	f.Add("POST", "/v2/a/blobs/uploads/", "digest=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", []byte(nil))
	f.Add("PUT", "/v2/a/manifests/v1", "", []byte(`{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
	f.Add("GET", "/v2/_catalog", "n=1&last=a", []byte(nil))
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		r := httptest.NewRequest("GET", "/", bytes.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %q?%s: %d %s", method, path, query, w.Code, w.Body)
		}
	})
}
