package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	specsv1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/store"
)

// A Target is one built platform.
type Target struct {
	Platform   image.Platform
	Layers     []*solve.Layer
	Config     []byte // as the front end made it, without layers and times
	BaseConfig []byte
	Epoch      *time.Time
}

// ImageOptions say how an image is assembled.
type ImageOptions struct {
	// Docker uses docker's media types instead of OCI's.
	Docker bool
	// Index makes an index even for one platform.
	Index bool
	// RewriteTimes limits the times of files in new layers to the target's epoch.
	RewriteTimes bool
	// SetTimes makes all times in new layers, also earlier ones, the target's epoch.
	SetTimes    bool
	Annotations Annotations
	// Blobs are the blobs in which base images list their layers, by diffID.
	Blobs map[digest.Digest]image.Descriptor
	// Fetch brings such a blob into the store; nil if all are there.
	Fetch func(ctx context.Context, diffID digest.Digest) error
	// Step says which step made a layer, for layers that the history does not
	// mention; "" or nil if nobody knows.
	Step func(store.LayerID) string
}

// An Image is an assembled image, whose blobs are in the store.
type Image struct {
	Root      image.Descriptor // the manifest, or the index
	Manifests []image.Descriptor
	Configs   []image.Descriptor
	// Annotations are for the descriptor that lists the image in an archive.
	Annotations map[string]string
}

// Assemble writes configs, manifests and the index of ts to st.
func Assemble(ctx context.Context, st *store.Store, ts []Target, o ImageOptions) (*Image, error) {
	img := &Image{}
	var created *time.Time
	for _, t := range ts {
		cfg, m, at, err := assembleOne(ctx, st, t, o)
		if err != nil {
			return nil, err
		}
		if t.Epoch != nil {
			at = t.Epoch
		}
		if at != nil && (created == nil || at.After(*created)) {
			created = at
		}
		p := t.Platform
		m.Platform = &p
		m.Annotations = o.Annotations.of(ManifestDescriptor, p)
		img.Configs = append(img.Configs, cfg)
		img.Manifests = append(img.Manifests, m)
	}
	if len(ts) == 1 && !o.Index {
		img.Root = img.Manifests[0]
		img.Annotations = withCreated(img.Root.Annotations, created)
		return img, nil
	}
	x := image.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeIndex,
		Manifests: img.Manifests, Annotations: o.Annotations.of(Index, image.Platform{}),
	}
	if o.Docker {
		x.MediaType = image.DockerManifestList
	}
	raw, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return nil, err
	}
	img.Root, err = st.WriteBlob(ctx, x.MediaType, raw)
	img.Annotations = withCreated(o.Annotations.of(IndexDescriptor, image.Platform{}), created)
	return img, err
}

// withCreated adds when the image was created, unless a says it.
func withCreated(a map[string]string, t *time.Time) map[string]string {
	if t == nil {
		return a
	}
	out := map[string]string{specsv1.AnnotationCreated: t.UTC().Format(time.RFC3339)}
	maps.Copy(out, a)
	return out
}

func assembleOne(ctx context.Context, st *store.Store, t Target, o ImageOptions) (cfg, m image.Descriptor, created *time.Time, err error) {
	layers, err := listLayers(ctx, st, t, o)
	if err != nil {
		return cfg, m, nil, err
	}
	raw, created, err := finishConfig(t, layers)
	if err != nil {
		return cfg, m, nil, err
	}
	mf := image.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeManifest,
		Annotations: o.Annotations.of(Manifest, t.Platform),
	}
	configType := image.MediaTypeConfig
	if o.Docker {
		mf.MediaType, configType = image.DockerManifest, image.DockerConfig
	}
	if mf.Config, err = st.WriteBlob(ctx, configType, raw); err != nil {
		return cfg, m, nil, err
	}
	for _, l := range layers {
		mf.Layers = append(mf.Layers, withFamily(l.desc, o.Docker))
	}
	out, err := json.MarshalIndent(mf, "", "  ")
	if err != nil {
		return cfg, m, nil, err
	}
	m, err = st.WriteBlob(ctx, mf.MediaType, out)
	return mf.Config, m, created, err
}

// imageLayer is one layer as the image lists it.
type imageLayer struct {
	diffID  digest.Digest
	desc    image.Descriptor
	created time.Time // zero for a base image's
	step    string    // that made it, "" for a base image's
}

// listLayers finds digest and blob of every layer.
func listLayers(ctx context.Context, st *store.Store, t Target, o ImageOptions) ([]imageLayer, error) {
	base := map[digest.Digest]bool{}
	if len(t.BaseConfig) > 0 {
		c, err := image.ParseConfig(t.BaseConfig)
		if err != nil {
			return nil, err
		}
		for _, d := range c.RootFS.DiffIDs {
			base[d] = true
		}
	}
	out := make([]imageLayer, 0, len(t.Layers))
	for _, l := range t.Layers {
		il, err := listLayer(ctx, st, l, o)
		if err != nil {
			return nil, err
		}
		if (o.RewriteTimes || o.SetTimes) && t.Epoch != nil && !base[il.diffID] {
			opts := layer.DiffOptions{ClampTime: t.Epoch}
			if o.SetTimes {
				opts.SetTime, il.created = t.Epoch, *t.Epoch
			}
			if il, err = rewriteTimes(ctx, st, l, il, opts); err != nil {
				return nil, err
			}
		}
		out = append(out, il)
	}
	return out, nil
}

func listLayer(ctx context.Context, st *store.Store, l *solve.Layer, o ImageOptions) (imageLayer, error) {
	diffID, desc := l.DiffID, l.Desc
	if desc.Digest == "" {
		desc = o.Blobs[diffID]
	}
	if desc.Digest != "" {
		ok, err := st.Exists(ctx, desc)
		if err != nil {
			return imageLayer{}, err
		}
		if ok {
			return imageLayer{diffID: diffID, desc: desc}, nil
		}
	}
	t, err := l.Tree(ctx) // fetches a layer that no step needed
	if err != nil {
		return imageLayer{}, err
	}
	step := ""
	if o.Step != nil {
		step = o.Step(t.ID)
	}
	if t, err = st.Identify(ctx, t.ID); err != nil {
		return imageLayer{}, err
	}
	if d := o.Blobs[t.DiffID]; desc.Digest == "" && d.Digest != "" {
		desc = d
	}
	plain := image.Descriptor{MediaType: image.MediaTypeLayer, Digest: t.DiffID, Size: t.Size}
	if desc.Digest != "" {
		// The tree may be there without the blob, and need not give its bytes.
		ok, err := st.Exists(ctx, desc)
		if err == nil && !ok {
			ok, err = fetchBlob(ctx, st, diffID, plain, o)
		}
		if err != nil {
			return imageLayer{}, err
		}
		if ok {
			return imageLayer{diffID: t.DiffID, desc: desc}, nil
		}
	}
	return imageLayer{
		diffID:  t.DiffID,
		desc:    plain,
		created: t.Created,
		step:    step,
	}, nil
}

// fetchBlob brings the blob of a base image's layer into the store, unless the
// layer can be made from its tree.
func fetchBlob(ctx context.Context, st *store.Store, diffID digest.Digest, plain image.Descriptor, o ImageOptions) (bool, error) {
	if ok, err := st.Exists(ctx, plain); ok || err != nil || o.Fetch == nil {
		return false, err
	}
	return true, o.Fetch(ctx, diffID)
}

// rewriteTimes writes the layer once more, with the times that opts ask for. A
// layer that has them already stays as it is.
func rewriteTimes(ctx context.Context, st *store.Store, l *solve.Layer, il imageLayer, opts layer.DiffOptions) (imageLayer, error) {
	t, err := l.Tree(ctx)
	if err != nil {
		return il, err
	}
	d, size, err := layer.DiffDigest(ctx, t.Dir, opts)
	if err != nil {
		return il, err
	}
	if d == il.diffID {
		return il, nil
	}
	desc := image.Descriptor{MediaType: image.MediaTypeLayer, Digest: d, Size: size}
	r, w := io.Pipe()
	go func() { w.CloseWithError(layer.Diff(ctx, w, t.Dir, opts)) }()
	defer r.Close()
	if err := st.Push(ctx, desc, r); err != nil {
		return il, err
	}
	return imageLayer{diffID: d, desc: desc, created: il.created, step: il.step}, nil
}

// withFamily gives a layer the media type of docker's or of OCI's family.
func withFamily(d image.Descriptor, docker bool) image.Descriptor {
	to := map[string]string{image.DockerLayer: image.MediaTypeLayer, image.DockerLayerGzip: image.MediaTypeLayerGzip}
	if docker {
		to = map[string]string{image.MediaTypeLayer: image.DockerLayer, image.MediaTypeLayerGzip: image.DockerLayerGzip}
	}
	if mt, ok := to[d.MediaType]; ok {
		d.MediaType = mt
	}
	return image.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, URLs: d.URLs, Annotations: d.Annotations}
}

// finishConfig adds to the front end's config what only the layers tell:
// diffIDs, history and times.
func finishConfig(t Target, layers []imageLayer) ([]byte, *time.Time, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(t.Config, &fields); err != nil {
		return nil, nil, fmt.Errorf("image config: %w: %w", errs.ErrInvalid, err)
	}
	if fields == nil {
		return nil, nil, fmt.Errorf("image config: null: %w", errs.ErrInvalid)
	}
	var history []image.History
	if raw, ok := fields["history"]; ok {
		if err := json.Unmarshal(raw, &history); err != nil {
			return nil, nil, fmt.Errorf("image config: history: %w: %w", errs.ErrInvalid, err)
		}
	}
	var base image.Config
	if len(t.BaseConfig) > 0 {
		var err error
		if base, err = image.ParseConfig(t.BaseConfig); err != nil {
			return nil, nil, err
		}
	}
	history = finishHistory(history, base.History, layers, t.Epoch)
	// The order and the null of no layers are BuildKit's: with the same times the
	// config has the same digest.
	rootFS := struct {
		Type    string          `json:"type"`
		DiffIDs []digest.Digest `json:"diff_ids"`
	}{Type: "layers"}
	for _, l := range layers {
		rootFS.DiffIDs = append(rootFS.DiffIDs, l.diffID)
	}
	created, err := createdTime(fields["created"], history, t.Epoch)
	if err != nil {
		return nil, nil, err
	}
	for k, v := range map[string]any{
		"rootfs":  rootFS,
		"history": history,
		"created": created,
	} {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, nil, err
		}
		fields[k] = raw
	}
	raw, err := json.Marshal(fields)
	return raw, created, err
}

// createdTime is what the front end says, but not after the epoch, or the time
// of the last step.
func createdTime(raw json.RawMessage, history []image.History, epoch *time.Time) (*time.Time, error) {
	var t *time.Time
	if raw != nil {
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, fmt.Errorf("image config: created: %w", errors.Join(errs.ErrInvalid, err))
		}
	}
	if t != nil && epoch != nil && t.After(*epoch) {
		return epoch, nil
	}
	if t != nil {
		return t, nil
	}
	for _, h := range history {
		if h.Created != nil {
			t = h.Created
		}
	}
	return t, nil
}
