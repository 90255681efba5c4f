package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/store"
)

// Compress gives an image like root whose layers are compressed. Blobs and
// manifests are in st, kept by this process's lease. An image with nothing to
// compress is returned as it is. A Kind that mica does not write is
// errs.ErrUnsupported. It is safe for concurrent use.
func Compress(ctx context.Context, st *store.Store, root image.Descriptor, o Options) (image.Descriptor, error) {
	switch o.Kind {
	case "", "gzip", "zstd":
	default:
		return root, fmt.Errorf("compress layers as %q: %w", o.Kind, errs.ErrUnsupported)
	}
	if image.IsIndex(root.MediaType) {
		return compressIndex(ctx, st, root, o)
	}
	if !image.IsManifest(root.MediaType) {
		return root, nil
	}
	raw, err := st.ReadBlob(ctx, root.Digest)
	if err != nil {
		return root, err
	}
	m, err := image.ParseManifest(raw)
	if err != nil {
		return root, err
	}
	before := append([]image.Descriptor(nil), m.Layers...)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i := range m.Layers {
		if !image.IsLayer(m.Layers[i].MediaType) {
			continue
		}
		g.Go(func() (err error) {
			m.Layers[i], err = compressLayer(gctx, st, before[i], o)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return root, err
	}
	changed := false
	for i := range before {
		changed = changed || before[i].Digest != m.Layers[i].Digest
	}
	if !changed {
		return root, nil
	}
	return rewrite(ctx, st, root, m)
}

func compressIndex(ctx context.Context, st *store.Store, root image.Descriptor, o Options) (image.Descriptor, error) {
	raw, err := st.ReadBlob(ctx, root.Digest)
	if err != nil {
		return root, err
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return root, err
	}
	changed := false
	for i, d := range x.Manifests {
		n, err := Compress(ctx, st, d, o)
		if err != nil {
			return root, err
		}
		changed = changed || n.Digest != d.Digest
		x.Manifests[i] = replaced(d, n)
	}
	if !changed {
		return root, nil
	}
	return rewrite(ctx, st, root, x)
}

// rewrite stores the changed manifest or index v of d.
func rewrite(ctx context.Context, st *store.Store, d image.Descriptor, v any) (image.Descriptor, error) {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return d, err
	}
	n, err := st.WriteBlob(ctx, d.MediaType, raw)
	if err != nil {
		return d, err
	}
	return replaced(d, n), nil
}

// replaced is d for other bytes: what it says of them stays, but for a copy of
// the old ones.
func replaced(d, n image.Descriptor) image.Descriptor {
	d.Digest, d.Size, d.Data = n.Digest, n.Size, nil
	return d
}

// mediaType is a layer type with another compression, in the same family.
func mediaType(mt, kind string) string {
	docker := mt == image.DockerLayer || mt == image.DockerLayerGzip
	switch {
	case kind == "gzip" && docker:
		return image.DockerLayerGzip
	case kind == "gzip":
		return image.MediaTypeLayerGzip
	case kind == "zstd":
		return image.MediaTypeLayerZstd
	case docker:
		return image.DockerLayer
	}
	return image.MediaTypeLayer
}

func compressLayer(ctx context.Context, st *store.Store, d image.Descriptor, o Options) (image.Descriptor, error) {
	plain := d.MediaType == image.MediaTypeLayer || d.MediaType == image.DockerLayer
	want := mediaType(d.MediaType, o.Kind)
	if want == d.MediaType || !plain && !o.Force {
		return d, nil
	}
	memo := fmt.Sprintf("compressed/%s-%s-%d", d.Digest.Encoded(), o.Kind, o.Level)
	unlock, err := st.Lock(ctx, memo)
	if err != nil {
		return d, err
	}
	defer unlock()
	if n, ok := recall(ctx, st, memo); ok {
		d.MediaType = want
		return replaced(d, n), nil
	}
	n, err := write(ctx, st, d, want, o)
	if err != nil {
		return d, fmt.Errorf("compress layer %s: %w", d.Digest, err)
	}
	// Only time is lost when the memo cannot be written.
	_ = st.PutState(memo, []byte(n.Digest.String()+" "+strconv.FormatInt(n.Size, 10)))
	d.MediaType = want
	return replaced(d, n), nil
}

// recall finds what an earlier process made of the layer, if it is still there.
func recall(ctx context.Context, st *store.Store, memo string) (image.Descriptor, bool) {
	raw, err := st.State(memo)
	if err != nil {
		return image.Descriptor{}, false
	}
	dgst, size, _ := bytes.Cut(raw, []byte(" "))
	n, err := strconv.ParseInt(string(size), 10, 64)
	d := image.Descriptor{Digest: digest.Digest(dgst), Size: n}
	if err != nil || image.CheckDescriptor(d) != nil {
		return d, false
	}
	ok, err := st.Exists(ctx, d)
	return d, ok && err == nil
}

// write makes the compressed blob, going on with what a process that was killed has
// made of it.
func write(ctx context.Context, st *store.Store, d image.Descriptor, want string, o Options) (n image.Descriptor, err error) {
	name := fmt.Sprintf("%s-%s-%d", d.Digest.Encoded(), o.Kind, o.Level)
	g, err := st.Grow(ctx, name)
	if err != nil {
		return n, err
	}
	watched := make(chan struct{})
	watch, stop := context.WithCancel(ctx)
	defer func() {
		if err != nil {
			g.Fail(err)
			stop()
		}
		<-watched
		stop()
		if cerr := g.Close(); err == nil {
			err = cerr
		}
	}()
	go func() {
		defer close(watched)
		if o.Watcher != nil {
			o.Watcher.Watch(watch, d, name, g)
		}
	}()
	rc, err := st.Fetch(ctx, d)
	if err != nil {
		return n, err
	}
	defer rc.Close()
	in, _, err := layer.Decompress(rc)
	if err != nil {
		return n, err
	}
	defer in.Close()
	if err := pack(ctx, g, in, o); err != nil {
		return n, err
	}
	return g.Commit(ctx, want)
}

// markEvery is how many bytes of a layer are compressed between two marks.
const markEvery = 16 << 20

// pack compresses r into g.
func pack(ctx context.Context, g *store.Growing, r io.Reader, o Options) error {
	from, err := kept(g, o)
	if err != nil {
		return err
	}
	marked := from.In
	var c io.WriteCloser
	if o.Kind == "gzip" {
		c, err = layer.CompressGzip(g, layer.GzipOptions{Level: o.Level, From: from, Reached: func(p layer.GzipPoint) {
			if p.In-marked >= markEvery {
				marked = p.In
				_ = g.SetMark(ctx, fmt.Appendf(nil, "%s %d %d", codecVersion, p.In, p.Out)) // only time is lost
			}
		}})
	} else {
		c, err = layer.Compress(g, o.Kind, o.Level)
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(c, r); err != nil {
		c.Close()
		return err
	}
	return c.Close()
}

// codecVersion changes when the bytes that a level makes do.
const codecVersion = "1"

// kept is where the making of g goes on: where its mark says, or at the beginning.
func kept(g *store.Growing, o Options) (p layer.GzipPoint, err error) {
	var version string
	n, _ := fmt.Sscan(string(g.Mark()), &version, &p.In, &p.Out)
	if n == 3 && version == codecVersion && o.Kind == "gzip" && p.In > 0 && g.Keep(p.Out) == nil {
		return p, nil
	}
	return layer.GzipPoint{}, g.Keep(0)
}
