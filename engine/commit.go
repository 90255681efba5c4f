package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/store"
)

// CommitOptions say what Commit makes an image of.
type CommitOptions struct {
	Name    string // to give the image; "" leaves it dangling
	Author  string
	Message string   // the comment in the image's history
	Changes []string // lines of a Dockerfile that change the config
	// Layers and Config are those of the image that the container is of; the config is
	// changed to what the container has.
	Layers []image.Descriptor
	Config image.Config
	// Command is what the container ran, for the history.
	Command string
	// Upper is the container's writable layer in overlay form. Drop names what of it is
	// left out where Leave says so.
	Upper string
	Drop  []string
	Leave func(upper, name string) bool
}

// Commit makes an image of an image and a writable layer on top of it, and gives its ID.
// The layer has what differs from the image; it must not change meanwhile.
func (e *Engine) Commit(ctx context.Context, o CommitOptions) (digest.Digest, error) {
	name := ""
	if o.Name != "" {
		n, err := parseTarget(o.Name)
		if err != nil {
			return "", err
		}
		name = n.String()
	}
	c := o.Config
	if err := change(&c, o.Changes); err != nil {
		return "", err
	}
	l, err := e.commitLayer(ctx, o)
	if err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	now := time.Now().UTC()
	c.Created, c.Author = &now, o.Author
	c.RootFS.DiffIDs = append(slices.Clone(c.RootFS.DiffIDs), l.DiffID)
	c.History = append(slices.Clone(c.History), image.History{Created: &now, CreatedBy: o.Command, Author: o.Author, Comment: o.Message})
	return e.publishOn(ctx, name, c, o.Layers, l)
}

// commitLayer copies the writable layer into one of the store.
func (e *Engine) commitLayer(ctx context.Context, o CommitOptions) (store.Layer, error) {
	var none store.Layer
	below, err := e.store.UnpackStack(ctx, o.Layers, o.Config.RootFS.DiffIDs)
	if err != nil {
		return none, err
	}
	lower := make([]string, len(below))
	for i, l := range below {
		lower[i] = l.Dir
	}
	d, err := e.store.NewLayer(ctx)
	if err != nil {
		return none, err
	}
	defer d.Discard()
	r, w := io.Pipe()
	go func() { w.CloseWithError(layer.Diff(ctx, w, o.Upper, layer.DiffOptions{})) }()
	_, err = layer.Apply(ctx, r, d.Dir, layer.ApplyOptions{Parents: lower, NoOwner: layer.SingleID()})
	r.CloseWithError(err)
	if err != nil {
		return none, err
	}
	for _, name := range o.Drop {
		if o.Leave(o.Upper, name) {
			if err := os.Remove(filepath.Join(d.Dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return none, err
			}
		}
	}
	if err := layer.Settle(ctx, d.Dir, lower); err != nil {
		return none, err
	}
	l, err := d.Commit(ctx)
	if err != nil {
		return none, err
	}
	return e.store.Identify(ctx, l.ID)
}

// publishOn writes the config and manifest of an image with one layer more than layers,
// and names it.
func (e *Engine) publishOn(ctx context.Context, name string, c image.Config, layers []image.Descriptor, l store.Layer) (digest.Digest, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	config, err := e.store.WriteBlob(ctx, image.MediaTypeConfig, raw)
	if err != nil {
		return "", err
	}
	m := image.Manifest{MediaType: image.MediaTypeManifest, Config: config}
	for _, d := range layers {
		// The manifest is OCI's, whatever the image below came as.
		switch d.MediaType {
		case image.DockerLayer:
			d.MediaType = image.MediaTypeLayer
		case image.DockerLayerGzip:
			d.MediaType = image.MediaTypeLayerGzip
		}
		m.Layers = append(m.Layers, d)
	}
	m.Layers = append(m.Layers, image.Descriptor{MediaType: image.MediaTypeLayer, Digest: l.DiffID, Size: l.Size})
	m.SchemaVersion = 2
	if raw, err = json.Marshal(m); err != nil {
		return "", err
	}
	target, err := e.store.WriteBlob(ctx, image.MediaTypeManifest, raw)
	if err != nil {
		return "", err
	}
	return config.Digest, e.store.Tag(ctx, name, target)
}
