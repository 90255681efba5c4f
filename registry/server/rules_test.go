package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage"
)

// code fails unless the answer's error has the code.
func (r *registry) code(a answer, code string) {
	r.Helper()
	if !strings.Contains(a.body, `"code":"`+code+`"`) {
		r.Errorf("body %s, want code %s", a.body, code)
	}
}

// withOptions runs test against each storage.
func withOptions(t *testing.T, o server.Options, test func(*testing.T, *registry, *storage.Storage)) {
	for name, open := range storages {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			test(t, start(t, s, o), s)
		})
	}
}

func TestConditional(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		d, _ := r.manifest("a", "", "v1")
		blob := r.blob("a", "0123456789")
		etag := `"` + d.String() + `"`
		for _, tt := range []struct {
			path, header string
			status       int
		}{
			{"/v2/a/manifests/v1", "If-None-Match: " + etag, 304},
			{"/v2/a/manifests/v1", `If-None-Match: "x", W/` + etag, 304},
			{"/v2/a/manifests/v1", "If-None-Match: *", 304},
			{"/v2/a/manifests/v1", `If-None-Match: "x"`, 200},
			{"/v2/a/blobs/" + blob.String(), `If-None-Match: "` + blob.String() + `"`, 304},
			{"/v2/a/blobs/" + blob.String(), "Range: bytes=-3", 206},
			{"/v2/a/blobs/" + blob.String(), "Range: bytes=10-", 416},
			{"/v2/a/blobs/" + blob.String(), "Range: bytes=5-2", 416},
		} {
			a := r.want(tt.status, "GET", tt.path, "", tt.header)
			if tt.status == 304 && a.header.Get("ETag") == "" {
				r.Errorf("%s, %s: no ETag", tt.path, tt.header)
			}
		}
		a := r.want(206, "GET", "/v2/a/blobs/"+blob.String(), "", "Range: bytes=0-1,8-9")
		if !strings.HasPrefix(a.header.Get("Content-Type"), "multipart/byteranges") ||
			!strings.Contains(a.body, "\r\n01\r\n") || !strings.Contains(a.body, "\r\n89\r\n") {
			r.Errorf("two ranges: %v %q", a.header, a.body)
		}
		a = r.want(206, "GET", "/v2/a/blobs/"+blob.String(), "", "Range: bytes=2-3", `If-Range: "`+blob.String()+`"`)
		if a.body != "23" {
			r.Errorf("range of what it was: %q", a.body)
		}
	})
}

func TestMounts(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		d := r.blob("from", "bytes")
		a := r.want(201, "POST", "/v2/to/blobs/uploads/?mount="+d.String(), "") // from wherever it is
		if a.header.Get("Docker-Content-Digest") != d.String() {
			r.Errorf("header %v", a.header)
		}
		r.want(202, "DELETE", "/v2/from/blobs/"+d.String(), "")
		r.want(404, "HEAD", "/v2/from/blobs/"+d.String(), "")
		r.want(200, "HEAD", "/v2/to/blobs/"+d.String(), "")
		r.want(202, "DELETE", "/v2/to/blobs/"+d.String(), "")
		// The bytes may be there yet; nobody has them.
		r.want(202, "POST", "/v2/x/blobs/uploads/?mount="+d.String(), "")
		r.want(202, "POST", "/v2/x/blobs/uploads/?from=to&mount="+d.String(), "")
		r.want(400, "POST", "/v2/x/blobs/uploads/?from=UP&mount="+d.String(), "")
		r.want(400, "POST", "/v2/x/blobs/uploads/?from=to&mount=sha256:x", "")
	})
}

// TestHidden checks that what the caller may not see shows nowhere.
func TestHidden(t *testing.T) {
	o := server.Options{Allowed: func(r *http.Request, a server.Access) bool {
		return !strings.HasPrefix(a.Repository, "secret/") || r.Header.Get("Who") == "me"
	}}
	o.Authorize = func(w http.ResponseWriter, r *http.Request, need []server.Access) bool {
		ok := !slices.ContainsFunc(need, func(a server.Access) bool { return !o.Allowed(r, a) })
		if !ok {
			server.NameUnknown(w)
		}
		return ok
	}
	withOptions(t, o, func(t *testing.T, r *registry, s *storage.Storage) {
		me := "Who: me"
		all := start(t, s, server.Options{})
		all.manifest("open/app", "", "v1")
		d, _ := all.manifest("secret/app", "", "v1")
		blob := all.blob("secret/app", "secret bytes")

		if a := r.want(200, "GET", "/v2/_catalog", ""); a.body != `{"repositories":["open/app"]}` {
			t.Errorf("catalog %s", a.body)
		}
		if a := r.want(200, "GET", "/v2/_catalog?n=1", "", me); a.header.Get("Link") == "" {
			t.Errorf("catalog of who may see all: %s %v", a.body, a.header)
		}
		if a := r.want(200, "GET", "/v2/_catalog?n=1", ""); a.header.Get("Link") != "" {
			t.Errorf("the link tells that there is more: %v", a.header)
		}
		if a := r.want(200, "GET", "/v1/search?q=app", ""); strings.Contains(a.body, "secret") || !strings.Contains(a.body, "open/app") {
			t.Errorf("search %s", a.body)
		}
		none := r.want(404, "GET", "/v2/nothing/app/tags/list", "")
		for _, path := range []string{
			"/v2/secret/app/tags/list", "/v2/secret/app/manifests/v1", "/v2/secret/app/manifests/" + d.String(),
			"/v2/secret/app/blobs/" + blob.String(), "/v2/secret/app/referrers/" + d.String(),
		} {
			if a := r.want(404, "GET", path, ""); a.body != none.body {
				t.Errorf("%s: %s, of one that does not exist %s", path, a.body, none.body)
			}
			r.want(200, "GET", path, "", me)
		}
		for _, q := range []string{"from=secret/app&", ""} {
			r.want(202, "POST", "/v2/open/app/blobs/uploads/?"+q+"mount="+blob.String(), "")
			r.want(404, "HEAD", "/v2/open/app/blobs/"+blob.String(), "")
		}
		r.want(201, "POST", "/v2/open/app/blobs/uploads/?from=secret/app&mount="+blob.String(), "", me)
	})
}

func TestSearch(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		if a := r.want(200, "GET", "/v1/_ping", ""); a.body != "true" {
			r.Errorf("ping %q", a.body)
		}
		r.manifest("library/alpine", "", "v1")
		r.manifest("team/alpine-tools", "", "v1")
		r.manifest("team/busybox", "", "v1")
		for q, want := range map[string]int{"q=alpine": 2, "q=Team+alp": 1, "q=": 3, "q=&n=1": 1, "q=nothing": 0} {
			a := r.want(200, "GET", "/v1/search?"+q, "")
			if !strings.Contains(a.body, fmt.Sprintf(`"num_results":%d,`, want)) {
				r.Errorf("%s: %s, want %d", q, a.body, want)
			}
		}
		r.want(400, "GET", "/v1/search?q=a&n=101", "")
		r.want(405, "POST", "/v1/search", "")
	})
}

func TestReferencedStays(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		d, _ := r.manifest("a", "", "v1")
		config := digest.FromString("{}")
		a := r.want(409, "DELETE", "/v2/a/blobs/"+config.String(), "")
		if !strings.Contains(a.body, d.String()) {
			r.Errorf("who needs it: %s", a.body)
		}
		index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`,
			image.MediaTypeIndex, image.MediaTypeManifest, d)
		r.want(201, "PUT", "/v2/a/manifests/index", index, "Content-Type: "+image.MediaTypeIndex)
		r.want(409, "DELETE", "/v2/a/manifests/"+d.String(), "")
		r.want(202, "DELETE", "/v2/a/manifests/"+digest.FromString(index).String(), "")
		r.want(202, "DELETE", "/v2/a/manifests/"+d.String(), "")
		r.want(202, "DELETE", "/v2/a/blobs/"+config.String(), "")
	})
}

func TestImmutable(t *testing.T) {
	o := server.Options{Immutable: func(repo, tag string) bool { return repo == "a" && strings.HasPrefix(tag, "v") }}
	withOptions(t, o, func(t *testing.T, r *registry, _ *storage.Storage) {
		d, raw := r.manifest("a", "", "v1", "latest")
		other := strings.Replace(raw, `"layers"`, `"annotations":{"a":"b"},"layers"`, 1)
		man := "Content-Type: " + image.MediaTypeManifest
		r.want(201, "PUT", "/v2/a/manifests/v1", raw, man) // the same
		a := r.want(409, "PUT", "/v2/a/manifests/v1", other, man)
		r.code(a, "DENIED")
		a = r.want(409, "PUT", "/v2/a/manifests/"+digest.FromString(other).String()+"?tag=new&tag=v1", other, man)
		if !strings.Contains(a.body, "v1 is immutable") {
			t.Errorf("body %s", a.body)
		}
		r.want(404, "HEAD", "/v2/a/manifests/new", "") // all or nothing
		r.want(409, "DELETE", "/v2/a/manifests/v1", "")
		r.want(409, "DELETE", "/v2/a/manifests/"+d.String(), "")
		r.want(201, "PUT", "/v2/a/manifests/latest", other, man)
		r.want(202, "DELETE", "/v2/a/manifests/latest", "")
		if a := r.want(200, "GET", "/v2/a/manifests/v1", ""); a.body != raw {
			t.Errorf("v1 is %s", a.body)
		}
	})
}

func TestQuota(t *testing.T) {
	o := server.Options{Limits: func(string) []storage.Limit { return []storage.Limit{{Prefix: "a/", Bytes: 30}} }}
	withOptions(t, o, func(t *testing.T, r *registry, s *storage.Storage) {
		d := r.blob("a/x", "0123456789012345678901234")
		a := r.want(403, "PUT", r.begin("a/y")+"?digest="+digest.FromString("abcdef").String(), "abcdef")
		r.code(a, "DENIED")
		if !strings.Contains(a.body, "25 of 30 bytes") {
			t.Errorf("body %s", a.body)
		}
		if has(t, s, digest.FromString("abcdef")) {
			t.Error("what was refused fills the disk")
		}
		r.want(201, "PUT", r.begin("a/y")+"?digest="+digest.FromString("abcde").String(), "abcde")
		r.want(403, "POST", "/v2/a/y/blobs/uploads/?from=a/x&mount="+d.String(), "")
		r.want(201, "POST", "/v2/b/blobs/uploads/?from=a/x&mount="+d.String(), "")
		r.want(403, "PUT", "/v2/a/x/manifests/v1", `{"schemaVersion":2,"manifests":[]}`, "Content-Type: "+image.MediaTypeIndex)
		r.want(202, "DELETE", "/v2/a/x/blobs/"+d.String(), "")
		r.blob("a/y", "there is room now")
	})
}

func has(t *testing.T, s *storage.Storage, d digest.Digest) bool {
	_, err := s.Blobs.Stat(t.Context(), d)
	return err == nil
}

func TestEvents(t *testing.T) {
	var got []string
	o := server.Options{
		Events: func(e server.Event) {
			if time.Since(e.Time) > time.Minute || e.Request == nil {
				t.Errorf("event %+v", e)
			}
			got = append(got, strings.TrimSpace(fmt.Sprintln(e.Action, e.Kind, e.Repository, e.Tag, e.Size, e.Mounted, e.Actor)))
		},
		Actor: func(*http.Request) string { return "me" },
	}
	r := start(t, server.NewMemory(), o)
	d, raw := r.manifest("a", "", "v1")
	r.want(200, "GET", "/v2/a/manifests/v1", "")
	r.want(200, "HEAD", "/v2/a/manifests/v1", "")
	r.want(200, "GET", "/v2/a/blobs/"+digest.FromString("{}").String(), "")
	r.want(201, "POST", "/v2/b/blobs/uploads/?from=a&mount="+digest.FromString("{}").String(), "")
	r.want(202, "DELETE", "/v2/a/manifests/v1", "")
	r.want(202, "DELETE", "/v2/a/manifests/"+d.String(), "")
	n := fmt.Sprint(len(raw))
	want := []string{
		"push blob a  2  me", "push manifest a v1 " + n + "  me", "pull manifest a v1 " + n + "  me", "pull blob a  2  me",
		"push blob b  2 a me", "delete tag a v1 0  me", "delete manifest a  0  me",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestManifestKinds(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		config, layer := r.blob("a", "{}"), r.blob("a", "")
		gone := digest.FromString("gone")
		desc := func(mt string, d digest.Digest, more string) string {
			return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":2%s}`, mt, d, more)
		}
		man := func(mt, layers string) string {
			return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, mt, desc("x/y", config, ""), layers)
		}
		for _, tt := range []struct{ name, contentType, body string }{
			{"docker image", image.DockerManifest, man(image.DockerManifest, desc("x/y", layer, ""))},
			{"docker list", image.DockerManifestList, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, image.DockerManifestList, desc(image.DockerManifest, gone, ""))},
			{"foreign layer", image.DockerManifest, man(image.DockerManifest, desc("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", gone, `,"urls":["http://x/"]`))},
			{"nondistributable layer", image.MediaTypeManifest, man(image.MediaTypeManifest, desc("application/vnd.oci.image.layer.nondistributable.v1.tar", gone, ""))},
			{"data", image.MediaTypeManifest, man(image.MediaTypeManifest, desc("x/y", config, `,"data":"e30="`))},
			{"other fields", image.MediaTypeManifest, strings.Replace(man(image.MediaTypeManifest, ""), "{", `{"future":{"a":[1]},`, 1)},
			{"type from the body", "", man(image.MediaTypeManifest, "")},
			{"type with parameters", image.MediaTypeManifest + "; charset=utf-8", man(image.MediaTypeManifest, "")},
			{"sparse index", image.MediaTypeIndex, fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, desc(image.MediaTypeManifest, gone, ""))},
			{"nested index", image.MediaTypeIndex, fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, desc(image.MediaTypeIndex, gone, ""))},
		} {
			t.Run(tt.name, func(t *testing.T) {
				r.T = t
				header := []string{}
				if tt.contentType != "" {
					header = append(header, "Content-Type: "+tt.contentType)
				}
				for _, ref := range []string{"tag", digest.FromString(tt.body).String(), digest.SHA512.FromString(tt.body).String()} {
					a := r.want(201, "PUT", "/v2/a/manifests/"+ref, tt.body, header...)
					at := a.header.Get("Location")
					if got := r.want(200, "GET", at, ""); got.body != tt.body {
						t.Errorf("got %s", got.body)
					}
				}
			})
		}
	})
}

// TestFallbackTag checks that a list of referrers that clients keep under a tag, and
// which was copied from elsewhere, loses what is deleted.
func TestFallbackTag(t *testing.T) {
	backends(t, func(t *testing.T, r *registry) {
		r.T = t
		subject, _ := r.manifest("a", "", "v1")
		ref := fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":1}`, image.MediaTypeManifest, subject)
		one, raw1 := r.manifest("a", ref+`,"annotations":{"n":"1"}`, "one")
		two, raw2 := r.manifest("a", ref+`,"annotations":{"n":"2"}`, "two")
		entry := func(d digest.Digest, raw string) string {
			return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d,"future":{"x":1}}`, image.MediaTypeManifest, d, len(raw))
		}
		list := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s,%s],"annotations":{"kept":"yes"}}`,
			image.MediaTypeIndex, entry(one, raw1), entry(two, raw2))
		tag := "sha256-" + subject.Encoded()
		r.want(201, "PUT", "/v2/a/manifests/"+tag, list, "Content-Type: "+image.MediaTypeIndex)

		r.want(202, "DELETE", "/v2/a/manifests/"+one.String(), "")
		a := r.want(200, "GET", "/v2/a/manifests/"+tag, "")
		if strings.Contains(a.body, one.String()) || !strings.Contains(a.body, entry(two, raw2)) || !strings.Contains(a.body, `"kept":"yes"`) {
			r.Errorf("after the first: %s", a.body)
		}
		if got := a.header.Get("Docker-Content-Digest"); got != digest.FromString(a.body).String() {
			r.Errorf("digest %s", got)
		}
		r.want(404, "HEAD", "/v2/a/manifests/"+digest.FromString(list).String(), "")
		r.want(202, "DELETE", "/v2/a/manifests/"+two.String(), "")
		r.want(404, "GET", "/v2/a/manifests/"+tag, "")
		if a := r.want(200, "GET", "/v2/a/referrers/"+subject.String(), ""); !strings.Contains(a.body, `"manifests":[]`) {
			r.Errorf("referrers: %s", a.body)
		}
		// What is in another index stays.
		three, raw3 := r.manifest("a", ref+`,"annotations":{"n":"3"}`, "three")
		other := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, image.MediaTypeIndex, entry(three, raw3))
		r.want(201, "PUT", "/v2/a/manifests/other", other, "Content-Type: "+image.MediaTypeIndex)
		r.want(409, "DELETE", "/v2/a/manifests/"+three.String(), "")
	})
}

func TestSparse(t *testing.T) {
	withOptions(t, server.Options{Sparse: true}, func(t *testing.T, r *registry, s *storage.Storage) {
		gone := digest.FromString("gone")
		raw := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":%q,"size":4},"layers":[]}`, gone)
		r.want(201, "PUT", "/v2/a/manifests/v1", raw, "Content-Type: "+image.MediaTypeManifest)
		r.want(404, "GET", "/v2/a/blobs/"+gone.String(), "")
		r.blob("a", "gone")
		r.want(409, "DELETE", "/v2/a/blobs/"+gone.String(), "")
		for _, sparse := range []bool{true, false} {
			problems, err := storage.Scrub(t.Context(), s, storage.ScrubOptions{Sparse: sparse})
			if err != nil || len(problems) > 0 {
				t.Errorf("sparse %v: %v, %v", sparse, problems, err)
			}
		}
	})
}

// brokenBlobs is a disk that is full.
type brokenBlobs struct {
	storage.Blobs
	err error
}

func (b brokenBlobs) Write(context.Context, string, string, int64, io.Reader) (int64, error) {
	return 0, fmt.Errorf("write upload: %w", b.err)
}

func TestFullDisk(t *testing.T) {
	s := server.NewMemory()
	s.Blobs = brokenBlobs{s.Blobs, &http.MaxBytesError{}}
	for _, tt := range []struct {
		err    error
		status int
	}{{syscall.ENOSPC, 507}, {syscall.EDQUOT, 507}, {errors.New("bad sector"), 500}} {
		s.Blobs = brokenBlobs{s.Blobs, tt.err}
		r := start(t, s, server.Options{})
		a := r.want(tt.status, "PUT", r.begin("a")+"?digest="+digest.FromString("x").String(), "x")
		if strings.Contains(a.body, "sector") {
			t.Errorf("tells too much: %s", a.body)
		}
		r.want(tt.status, "PUT", "/v2/a/manifests/v1", `{"schemaVersion":2,"manifests":[]}`, "Content-Type: "+image.MediaTypeIndex)
		r.want(404, "GET", "/v2/a/manifests/v1", "")
	}
}

func TestTooManyRequests(t *testing.T) {
	r := start(t, server.NewMemory(), server.Options{Authorize: func(w http.ResponseWriter, _ *http.Request, _ []server.Access) bool {
		server.TooManyRequests(w, 1500*time.Millisecond)
		return false
	}})
	a := r.want(429, "GET", "/v2/", "")
	r.code(a, "TOOMANYREQUESTS")
	if a.header.Get("Retry-After") != "2" {
		t.Errorf("header %v", a.header)
	}
}
