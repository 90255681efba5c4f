package remote

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

var (
	_ content.Store   = (*Repository)(nil)
	_ content.Mounter = (*Repository)(nil)
)

// manifestTypes is what we accept as a manifest. Schema 1 is last: whoever
// copies it is told why not, instead of "not found".
var manifestTypes = []string{
	image.MediaTypeIndex, image.DockerManifestList,
	image.MediaTypeManifest, image.DockerManifest,
	image.DockerManifestSchema1 + ";q=0.1",
}

// Repository is one repository of a registry.
//
// Names that Resolve and Tag take are tags, digests (Resolve only), or whole
// references to this repository.
type Repository struct {
	host *host
	ref  ref.Ref

	mu      sync.Mutex
	recent  map[digest.Digest][]byte // manifests pushed just now, for Tag
	chunked bool                     // a whole blob was refused
	whole   bool                     // chunks were refused
	uploads Uploads                  // nil: an upload that broke begins again

	referring sync.Mutex // one change of a fallback index after another

	client      *Client // of a repository that may have mirrors
	ns          string  // of one that is a mirror
	mirrorsOnce sync.Once
	mirrorList  []mirrored
	mirrorsErr  error
	distrusted  map[digest.Digest]bool // asked for here, not at mirrors
}

// Ref names the repository; it has neither tag nor digest.
func (r *Repository) Ref() ref.Ref { return r.ref }

// resolve asks this registry.
func (r *Repository) resolve(ctx context.Context, name string) (image.Descriptor, error) {
	ctx = r.host.scoped(ctx, r.ref.Path, "pull")
	d, err := r.head(ctx, name)
	if err != nil {
		return d, fmt.Errorf("resolve %s: %w", r.show(name), err)
	}
	return d, nil
}

// head asks by HEAD, and by GET where HEAD does not give a whole descriptor.
func (r *Repository) head(ctx context.Context, name string) (image.Descriptor, error) {
	resp, err := r.host.do(ctx, http.MethodHead, r.url("manifests", name), accept(), nil, http.StatusMethodNotAllowed)
	if err != nil {
		return image.Descriptor{}, err
	}
	resp.Body.Close()
	d := image.Descriptor{
		MediaType: mediaType(resp),
		Digest:    digest.Digest(resp.Header.Get("Docker-Content-Digest")),
		Size:      resp.ContentLength,
	}
	if resp.StatusCode != http.StatusOK || image.CheckDescriptor(d) != nil || d.Size <= 0 || !isManifestType(d.MediaType) {
		return r.get(ctx, name)
	}
	return d, checkName(name, d)
}

// get reads the manifest to describe it.
func (r *Repository) get(ctx context.Context, name string) (image.Descriptor, error) {
	resp, err := r.host.do(ctx, http.MethodGet, r.url("manifests", name), accept(), nil)
	if err != nil {
		return image.Descriptor{}, err
	}
	defer resp.Body.Close()
	raw, err := r.host.readSmall(resp, image.MaxMetadata+1)
	if err != nil {
		return image.Descriptor{}, err
	}
	if len(raw) > image.MaxMetadata {
		return image.Descriptor{}, fmt.Errorf("manifest of more than %d bytes: %w", image.MaxMetadata, errs.ErrTooLarge)
	}
	d := image.NewDescriptor(mediaType(resp), raw)
	if want, err := digest.Parse(name); err == nil {
		d.Digest = want.Algorithm().FromBytes(raw)
	} else if said, err := digest.Parse(resp.Header.Get("Docker-Content-Digest")); err == nil {
		d.Digest = said.Algorithm().FromBytes(raw)
		if err := checkName(said.String(), d); err != nil {
			return d, err
		}
	}
	return d, checkName(name, d)
}

// checkName makes sure that who asked for a digest gets that one.
func checkName(name string, d image.Descriptor) error {
	if want, err := digest.Parse(name); err == nil && want != d.Digest {
		return fmt.Errorf("registry answered with %s: %w", d.Digest, errs.ErrDigest)
	}
	return nil
}

// Exists asks for a blob or manifest by HEAD.
func (r *Repository) Exists(ctx context.Context, d image.Descriptor) (bool, error) {
	ctx = r.host.scoped(ctx, r.ref.Path, "pull")
	resp, err := r.host.do(ctx, http.MethodHead, r.url(kind(d), d.Digest.String()), accept(), nil, http.StatusNotFound)
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", r.show(d.Digest.String()), err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK, nil
}

// url is that of a blob or manifest.
func (r *Repository) url(kind, name string) *url.URL {
	return &url.URL{Path: "/v2/" + r.ref.Path + "/" + kind + "/" + name, RawQuery: r.query()}
}

// identifier is the tag or digest in name.
func (r *Repository) identifier(name string) string {
	rest, ok := strings.CutPrefix(name, r.ref.Name())
	if !ok || rest == "" {
		return name
	}
	if _, d, ok := strings.Cut(rest, "@"); ok {
		return d
	}
	return strings.TrimPrefix(rest, ":")
}

// show is how name appears in errors.
func (r *Repository) show(name string) string {
	if strings.Contains(name, ":") {
		return r.ref.FamiliarName() + "@" + name
	}
	return r.ref.FamiliarName() + ":" + name
}

// kind is where the API keeps what d names.
func kind(d image.Descriptor) string {
	if isManifestType(d.MediaType) {
		return "manifests"
	}
	return "blobs"
}

func isManifestType(mt string) bool {
	return image.IsManifest(mt) || image.IsIndex(mt) || strings.HasPrefix(mt, "application/vnd.docker.distribution.manifest.v1+")
}

func accept() http.Header { return http.Header{"Accept": manifestTypes} }

func mediaType(resp *http.Response) string {
	mt, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return mt
}
