package build

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
)

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
