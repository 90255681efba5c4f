package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/build/frontend"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/layout"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/store"
)

// images finds the base images of one build: in the local store first, then in
// named layouts, then in registries. What it resolved once stays resolved.
type images struct {
	s       *session
	mu      sync.Mutex
	calls   map[string]*imageCall
	layouts map[string]namedLayout
	bases   map[string]digest.Digest // what was found in the store, by the name asked for
	outside bool                     // something was not found in the store
}

type imageCall struct {
	once sync.Once
	img  *baseImage
	err  error
}

type namedLayout struct {
	path string
	root digest.Digest
}

// baseImage is one image for one platform.
type baseImage struct {
	ref      string // canonical, with the digest of the index or manifest
	root     digest.Digest
	manifest image.Manifest
	config   image.Config
	raw      []byte
	from     content.Fetcher

	mu    sync.Mutex
	trees []store.Layer // once unpacked
}

func newImages(s *session) *images {
	return &images{s: s, calls: map[string]*imageCall{}, layouts: map[string]namedLayout{}, bases: map[string]digest.Digest{}}
}

// addLayout makes the layout "path[:tag|@digest]" known as id, and gives the
// context value that the front end takes for it.
func (m *images) addLayout(id, spec string) (string, error) {
	path, dgst, _ := strings.Cut(spec, "@")
	tag := ""
	if dgst == "" {
		if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') {
			path, tag = path[:i], path[i+1:]
		}
		l, err := layout.Open(path)
		if err != nil {
			return "", err
		}
		d, err := taggedOrOnly(l, tag)
		if err != nil {
			return "", err
		}
		dgst = d.Digest.String()
	}
	m.layouts[id] = namedLayout{path: path, root: digest.Digest(dgst)}
	return "oci-layout://" + id + "@" + dgst, nil
}

// taggedOrOnly finds tag; without one "latest", or else the only image there is.
func taggedOrOnly(l *layout.Layout, tag string) (image.Descriptor, error) {
	if tag != "" {
		return l.Resolve(context.Background(), tag)
	}
	d, err := l.Resolve(context.Background(), "latest")
	if errors.Is(err, errs.ErrNotFound) {
		if only, oerr := l.Resolve(context.Background(), ""); oerr == nil {
			return only, nil
		}
	}
	return d, err
}

// resolveFor answers the front end.
func (m *images) resolveFor(ctx context.Context, r frontend.ImageRequest) (frontend.ImageAnswer, error) {
	var img *baseImage
	find := func(digest.Digest) (err error) {
		img, err = m.resolve(ctx, r.Ref, r.LayoutID, r.Platform, r.Mode == "pull")
		return err
	}
	name := r.LogName
	if name == "" {
		name = "[internal] load metadata for " + r.Ref
	}
	err := m.s.progress.Step(name, find)
	if err != nil && m.s.isCall() {
		// A question about the Dockerfile does not need the base image.
		return m.placeholder(r), nil
	}
	if err != nil {
		return frontend.ImageAnswer{}, err
	}
	return frontend.ImageAnswer{Ref: img.ref, Digest: img.root, Config: img.raw}, nil
}

// fromStoreOnly gives the base images by name; ok is false when some came from
// elsewhere, where a name may change its meaning at any time.
func (m *images) fromStoreOnly() (bases map[string]digest.Digest, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bases, !m.outside
}

// inStore gives what a name stands for in the store today.
func (m *images) inStore(ctx context.Context, name string) (digest.Digest, error) {
	rf, err := ref.Parse(name)
	if err != nil {
		return "", err
	}
	if rf.Digest != "" {
		_, err := m.s.store.ReadBlob(ctx, rf.Digest)
		return rf.Digest, err
	}
	d, err := m.s.store.Resolve(ctx, rf.String())
	return d.Digest, err
}

// placeholder is an image of which nothing is known but its platform.
func (m *images) placeholder(r frontend.ImageRequest) frontend.ImageAnswer {
	p := m.s.host()
	if r.Platform != nil {
		p = *r.Platform
	}
	raw := fmt.Appendf(nil, `{"architecture":%q,"os":%q,"variant":%q,"config":{},"rootfs":{"type":"layers","diff_ids":[]}}`, p.Architecture, p.OS, p.Variant)
	return frontend.ImageAnswer{Ref: r.Ref, Digest: digest.FromBytes(raw), Config: raw}
}

// resolve finds an image once; concurrent callers share the work.
func (m *images) resolve(ctx context.Context, name, layoutID string, p *image.Platform, pull bool) (*baseImage, error) {
	want := m.s.host()
	if p != nil {
		want = platforms.Normalize(*p)
	}
	m.mu.Lock()
	key := fmt.Sprintf("%s %s %s", layoutID, name, platforms.FormatAll(want))
	c, ok := m.calls[key]
	if !ok {
		c = &imageCall{}
		m.calls[key] = c
	}
	m.mu.Unlock()
	c.once.Do(func() {
		c.img, c.err = m.find(ctx, name, layoutID, want, pull)
		if c.err == nil {
			m.mu.Lock()
			m.calls[fmt.Sprintf("%s %s %s", layoutID, c.img.ref, platforms.FormatAll(want))] = c
			if c.img.from == content.Fetcher(m.s.store) {
				m.bases[name] = c.img.root
			} else {
				m.outside = true
			}
			m.mu.Unlock()
		}
	})
	return c.img, c.err
}

func (m *images) find(ctx context.Context, name, layoutID string, want image.Platform, pull bool) (*baseImage, error) {
	if layoutID != "" {
		return m.fromLayout(ctx, name, layoutID, want)
	}
	rf, err := ref.Parse(name)
	if err != nil {
		return nil, err
	}
	var localErr error
	if !pull {
		img, err := m.fromStore(ctx, rf, want)
		if err == nil {
			return img, nil
		}
		if !errors.Is(err, errs.ErrNotFound) {
			return nil, err
		}
		localErr = err
	}
	img, err := m.fromRegistry(ctx, rf, want)
	if err != nil && localErr != nil && errors.Is(localErr, errPlatform) {
		return nil, fmt.Errorf("%w; and from the registry: %w", localErr, err)
	}
	if err != nil {
		return nil, fmt.Errorf("base image %s is not in the store: %w", rf.Familiar(), err)
	}
	return img, nil
}

// errPlatform says that an image is there, for another platform.
var errPlatform = fmt.Errorf("other platform: %w", errs.ErrNotFound)

func (m *images) fromStore(ctx context.Context, rf ref.Ref, want image.Platform) (*baseImage, error) {
	d, err := m.s.store.Resolve(ctx, rf.String())
	if errors.Is(err, errs.ErrNotFound) && rf.Digest != "" {
		// A name with a digest is as good as the digest, whatever it is called here.
		var raw []byte
		if raw, err = m.s.store.ReadBlob(ctx, rf.Digest); err == nil {
			d = image.NewDescriptor(mediaTypeOf(raw), raw)
			d.Digest = rf.Digest
		}
	}
	if err != nil {
		return nil, err
	}
	img, err := m.load(ctx, m.s.store, d, want)
	if err != nil {
		return nil, err
	}
	if have := image.PlatformOf(img.config); !platforms.Only(want).Match(have) {
		return nil, fmt.Errorf("image %s in the store is for %s, not %s: %w", rf.Familiar(), platforms.FormatAll(have), platforms.FormatAll(want), errPlatform)
	}
	img.ref = withDigest(rf, img.root)
	return img, nil
}

func (m *images) fromLayout(ctx context.Context, name, id string, want image.Platform) (*baseImage, error) {
	n, ok := m.layouts[id]
	if !ok {
		return nil, fmt.Errorf("oci layout %q: %w", id, errs.ErrNotFound)
	}
	l, err := layout.Open(n.path)
	if err != nil {
		return nil, err
	}
	d, err := l.Resolve(ctx, n.root.String())
	if err != nil {
		return nil, fmt.Errorf("layout %s: %w", n.path, err)
	}
	img, err := m.load(ctx, l, d, want)
	if err != nil {
		return nil, fmt.Errorf("layout %s: %w", n.path, err)
	}
	img.ref = name
	return img, nil
}

func (m *images) fromRegistry(ctx context.Context, rf ref.Ref, want image.Platform) (*baseImage, error) {
	if m.s.b.o.Registry == nil {
		return nil, fmt.Errorf("%s: %w: no registry can be reached", rf.Familiar(), errs.ErrNotFound)
	}
	repo, err := m.s.b.o.Registry(rf)
	if err != nil {
		return nil, err
	}
	d, err := repo.Resolve(ctx, rf.Identifier())
	if err != nil {
		return nil, err
	}
	img, err := m.load(ctx, repo, d, want)
	if err != nil {
		return nil, err
	}
	img.ref = withDigest(rf, img.root)
	return img, nil
}

func withDigest(rf ref.Ref, d digest.Digest) string { return rf.WithDigest(d).String() }

// blobs are the layer blobs of all images that were resolved, by diffID.
func (m *images) blobs() map[digest.Digest]image.Descriptor {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[digest.Digest]image.Descriptor{}
	for _, c := range m.calls {
		if c.img == nil {
			continue
		}
		for i, d := range c.img.manifest.Layers {
			out[c.img.config.RootFS.DiffIDs[i]] = d
		}
	}
	return out
}

// mediaTypeOf tells manifests from indexes where no descriptor says it.
func mediaTypeOf(raw []byte) string {
	if x, err := image.ParseIndex(raw); err == nil && len(x.Manifests) > 0 {
		return image.MediaTypeIndex
	}
	return image.MediaTypeManifest
}

// load follows d to the manifest and config for want, keeping both in the store.
func (m *images) load(ctx context.Context, from content.Fetcher, d image.Descriptor, want image.Platform) (*baseImage, error) {
	img := &baseImage{root: d.Digest, from: from}
	for depth := 0; ; depth++ {
		raw, err := m.metadata(ctx, from, d)
		if err != nil {
			return nil, err
		}
		if image.IsManifest(d.MediaType) {
			if img.manifest, err = image.ParseManifest(raw); err != nil {
				return nil, err
			}
			break
		}
		if !image.IsIndex(d.MediaType) || depth > 4 {
			return nil, fmt.Errorf("%s is a %s, not an image: %w", d.Digest, d.MediaType, errs.ErrUnsupported)
		}
		x, err := image.ParseIndex(raw)
		if err != nil {
			return nil, err
		}
		if d, err = image.SelectManifest(x, want); err != nil {
			return nil, err
		}
	}
	var err error
	if img.raw, err = m.metadata(ctx, from, img.manifest.Config); err != nil {
		return nil, err
	}
	if img.config, err = image.ParseConfig(img.raw); err != nil {
		return nil, err
	}
	if n, l := len(img.config.RootFS.DiffIDs), len(img.manifest.Layers); n != l {
		return nil, fmt.Errorf("image %s has %d layers and %d diff ids: %w", d.Digest, l, n, errs.ErrInvalid)
	}
	return img, nil
}

func (m *images) metadata(ctx context.Context, from content.Fetcher, d image.Descriptor) ([]byte, error) {
	if d.Size > image.MaxMetadata {
		return nil, fmt.Errorf("%s of %d bytes: %w", d.MediaType, d.Size, errs.ErrTooLarge)
	}
	if raw, err := m.s.store.ReadBlob(ctx, d.Digest); err == nil {
		return raw, nil
	} else if !errors.Is(err, errs.ErrNotFound) {
		return nil, err
	}
	rc, err := from.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, image.MaxMetadata+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > image.MaxMetadata {
		return nil, fmt.Errorf("%s %s: %w", d.MediaType, d.Digest, errs.ErrTooLarge)
	}
	_, err = m.s.store.WriteBlob(ctx, d.MediaType, raw)
	return raw, err
}

// Layers gives the layers of a resolved image; files are fetched when a step
// first needs them.
func (m *images) Layers(ctx context.Context, name, layoutID string, p *image.Platform, vertex digest.Digest) ([]*solve.Layer, error) {
	img, err := m.resolve(ctx, name, layoutID, p, false)
	if err != nil {
		return nil, err
	}
	out := make([]*solve.Layer, len(img.manifest.Layers))
	for i, d := range img.manifest.Layers {
		diffID := img.config.RootFS.DiffIDs[i]
		out[i] = solve.Lazy(diffID, d, func(ctx context.Context) (store.Layer, error) {
			trees, err := m.unpack(ctx, img, vertex)
			if err != nil {
				return store.Layer{}, err
			}
			return trees[i], nil
		})
	}
	return out, nil
}

// unpack makes the trees of all of img's layers, once: what one layer's tree
// looks like may depend on those below it.
func (m *images) unpack(ctx context.Context, img *baseImage, vertex digest.Digest) ([]store.Layer, error) {
	img.mu.Lock()
	defer img.mu.Unlock()
	if img.trees != nil {
		return img.trees, nil
	}
	if img.from != content.Fetcher(m.s.store) {
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(4)
		for i, d := range img.manifest.Layers {
			g.Go(func() error {
				if err := m.fetch(gctx, img, i, vertex); err != nil {
					return fmt.Errorf("fetch layer %s: %w", d.Digest, err)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
	}
	trees, err := m.s.store.UnpackStack(ctx, img.manifest.Layers, img.config.RootFS.DiffIDs)
	if err != nil {
		return nil, err
	}
	img.trees = trees
	return trees, nil
}

// fetch brings the blob of layer i into the store, unless its tree is there.
func (m *images) fetch(ctx context.Context, img *baseImage, i int, vertex digest.Digest) error {
	if _, err := m.s.store.LayerByDiffID(ctx, img.config.RootFS.DiffIDs[i]); err == nil {
		return nil
	}
	return m.download(ctx, img, i, vertex)
}

// fetchBlob brings the blob of the layer diffID of some resolved image into the
// store.
func (m *images) fetchBlob(ctx context.Context, diffID digest.Digest) error {
	m.mu.Lock()
	calls := slices.Collect(maps.Values(m.calls))
	m.mu.Unlock()
	for _, c := range calls {
		if c.img == nil {
			continue
		}
		if i := slices.Index(c.img.config.RootFS.DiffIDs, diffID); i >= 0 {
			return m.download(ctx, c.img, i, "")
		}
	}
	return fmt.Errorf("layer %s: %w", diffID, errs.ErrNotFound)
}

func (m *images) download(ctx context.Context, img *baseImage, i int, vertex digest.Digest) error {
	d := img.manifest.Layers[i]
	unlock, err := m.s.store.Lock(ctx, "blob-"+d.Digest.String())
	if err != nil {
		return err
	}
	defer unlock()
	if ok, err := m.s.store.Exists(ctx, d); ok || err != nil {
		return err
	}
	rc, err := img.from.Fetch(ctx, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	p := &meter{r: rc, total: d.Size, id: d.Digest.String(), vertex: vertex, progress: m.s.progress, started: time.Now()}
	if err := m.s.store.Push(ctx, d, p); err != nil {
		return err
	}
	p.report(true)
	return nil
}

// meter reports how much of a blob was read, a few times a second.
type meter struct {
	r        io.Reader
	n, total int64
	id       string
	vertex   digest.Digest
	progress *solve.Progress
	started  time.Time
	last     time.Time
}

func (p *meter) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.n += int64(n)
	if now := time.Now(); now.Sub(p.last) > 150*time.Millisecond {
		p.last = now
		p.report(false)
	}
	return n, err
}

func (p *meter) report(done bool) {
	p.progress.Status(p.vertex, p.id, p.n, p.total, p.started, done)
}
