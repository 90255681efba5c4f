package mirror_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/transfer/mirror"
)

// A registry is one in this process that counts what it is asked.
type registry struct {
	host string
	mu   sync.Mutex
	log  []string
}

// serve starts a registry; old is one that knows nothing of referrers.
func serve(t testing.TB, old bool) *registry {
	t.Helper()
	r := &registry{}
	h := server.New(server.NewMemory(), server.Options{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.log = append(r.log, req.Method+" "+req.URL.Path)
		r.mu.Unlock()
		if old && strings.Contains(req.URL.Path, "/referrers/") {
			http.NotFound(w, req)
			return
		}
		if old {
			w = forgetful{w}
		}
		h.ServeHTTP(w, req)
	}))
	t.Cleanup(s.Close)
	r.host = strings.TrimPrefix(s.URL, "http://")
	return r
}

// requests are those since the last call.
func (r *registry) requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.log
	r.log = nil
	return log
}

// forgetful does not say OCI-Subject.
type forgetful struct{ http.ResponseWriter }

func (f forgetful) WriteHeader(code int) {
	f.Header().Del("OCI-Subject")
	f.ResponseWriter.WriteHeader(code)
}

var client = remote.New(remote.Options{RetryDelay: time.Millisecond, CertsDirs: []string{}})

func places() mirror.Places { return mirror.Places{Remote: client} }

func repository(t testing.TB, name string) *remote.Repository {
	t.Helper()
	r, err := ref.ParseName(name)
	must(t, err)
	return client.Repository(r)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func location(t testing.TB, s string) mirror.Location {
	t.Helper()
	l, err := mirror.ParseLocation(s)
	must(t, err)
	return l
}

// push stores a blob or manifest.
func push(t testing.TB, p content.Pusher, mediaType string, data []byte) image.Descriptor {
	t.Helper()
	d := image.NewDescriptor(mediaType, data)
	must(t, p.Push(context.Background(), d, bytes.NewReader(data)))
	return d
}

func pushJSON(t testing.TB, p content.Pusher, mediaType string, v any) image.Descriptor {
	t.Helper()
	raw, err := json.Marshal(v)
	must(t, err)
	return push(t, p, mediaType, raw)
}

// pushImage stores an image for a platform, of one layer.
func pushImage(t testing.TB, p content.Pusher, arch, text string) image.Descriptor {
	t.Helper()
	layer := push(t, p, image.MediaTypeLayerGzip, []byte("layer of "+text))
	config := push(t, p, image.MediaTypeConfig, []byte(`{"os":"linux","architecture":"`+arch+`"}`))
	d := pushJSON(t, p, image.MediaTypeManifest, image.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeManifest,
		Config: config, Layers: []image.Descriptor{layer},
	})
	d.Platform = &image.Platform{OS: "linux", Architecture: arch}
	return d
}

func pushIndex(t testing.TB, p content.Pusher, of ...image.Descriptor) image.Descriptor {
	t.Helper()
	return pushJSON(t, p, image.MediaTypeIndex, image.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeIndex, Manifests: of,
	})
}

// attach stores something that refers to subject.
func attach(t testing.TB, p content.Pusher, subject image.Descriptor, kind string) image.Descriptor {
	t.Helper()
	subject.Platform = nil
	empty := push(t, p, "application/vnd.oci.empty.v1+json", []byte("{}"))
	return pushJSON(t, p, image.MediaTypeManifest, image.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeManifest,
		ArtifactType: kind, Config: empty, Layers: []image.Descriptor{empty}, Subject: &subject,
	})
}

// A fixture is an image for two platforms with a signature of the whole, an SBOM of
// one platform, a signature of that SBOM, and a signature by tag.
type fixture struct {
	root, amd64, arm64      image.Descriptor
	signature, sbom, second image.Descriptor
}

func makeFixture(t testing.TB, repo *remote.Repository, tag string) fixture {
	t.Helper()
	var f fixture
	f.amd64, f.arm64 = pushImage(t, repo, "amd64", "a"+tag), pushImage(t, repo, "arm64", "b"+tag)
	f.root = pushIndex(t, repo, f.amd64, f.arm64)
	must(t, repo.Tag(context.Background(), tag, f.root))
	f.signature = attach(t, repo, f.root, "application/x-signature")
	f.sbom = attach(t, repo, f.amd64, "application/x-sbom")
	f.second = attach(t, repo, f.sbom, "application/x-signature")
	must(t, repo.Tag(context.Background(), cosignTag(f.root), pushImage(t, repo, "amd64", "cosign")))
	return f
}

func cosignTag(d image.Descriptor) string { return content.ReferrersTag(d.Digest) + ".sig" }

// refers checks that something at src is known to refer to subject.
func refers(t testing.TB, src content.Referrer, subject, want image.Descriptor) {
	t.Helper()
	found, err := src.Referrers(context.Background(), subject.Digest)
	must(t, err)
	if len(found) != 1 || found[0].Digest != want.Digest || found[0].ArtifactType == "" {
		t.Errorf("referrers of %s are %+v, want %s", subject.Digest, found, want.Digest)
	}
}

// copyImage copies between two locations.
func copyImage(t testing.TB, from, to string, o mirror.CopyOptions) image.Descriptor {
	t.Helper()
	d, err := tryCopy(t, places(), from, to, o)
	must(t, err)
	return d
}

func tryCopy(t testing.TB, p mirror.Places, from, to string, o mirror.CopyOptions) (image.Descriptor, error) {
	t.Helper()
	ctx := t.Context()
	src, err := p.Source(ctx, location(t, from))
	if err != nil {
		return image.Descriptor{}, err
	}
	defer src.Close()
	dst, err := p.Target(ctx, location(t, to))
	if err != nil {
		return image.Descriptor{}, err
	}
	defer dst.Close()
	d, err := mirror.Copy(ctx, dst, location(t, to).NameFor(location(t, from)), src, location(t, from).Image(), o)
	if err != nil {
		return d, err
	}
	return d, dst.Commit()
}
