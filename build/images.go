package build

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/frontend"
	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
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

func newImages(s *session) *images {
	return &images{s: s, calls: map[string]*imageCall{}, layouts: map[string]namedLayout{}, bases: map[string]digest.Digest{}}
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
	img, err := m.fromRegistry(ctx, rf, want, pull)
	switch {
	case err == nil:
		return img, nil
	case errors.Is(localErr, errPlatform):
		return nil, fmt.Errorf("%w; and from the registry: %w", localErr, err)
	case localErr != nil:
		return nil, fmt.Errorf("not in the store: %w", err)
	}
	return nil, err
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

func (m *images) fromRegistry(ctx context.Context, rf ref.Ref, want image.Platform, pull bool) (*baseImage, error) {
	if m.s.b.o.Registry == nil {
		return nil, fmt.Errorf("%s: %w: no registry can be reached", rf.Familiar(), errs.ErrNotFound)
	}
	repo, err := m.s.b.o.Registry(rf)
	if err != nil {
		return nil, err
	}
	d, remembered := m.recallTag(rf, pull)
	if !remembered {
		if d, err = repo.Resolve(ctx, rf.Identifier()); err != nil {
			return nil, err
		}
		m.rememberTag(rf, d)
	}
	img, err := m.load(ctx, keeping{repo, m.s.store}, d, want)
	if err != nil && remembered && ctx.Err() == nil { // it may be gone by now
		if d, err = repo.Resolve(ctx, rf.Identifier()); err == nil {
			m.rememberTag(rf, d)
			img, err = m.load(ctx, keeping{repo, m.s.store}, d, want)
		}
	}
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
