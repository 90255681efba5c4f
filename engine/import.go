package engine

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/layer"
	"github.com/mica-build/mica/store"
)

// ImportOptions configure Import. The zero value works.
type ImportOptions struct {
	Name     string         // to give the image; "" leaves it dangling
	Changes  []string       // lines of a Dockerfile that change the config
	Message  string         // the comment in the image's history
	Source   string         // where the tar came from, for the default message
	Platform image.Platform // zero is the engine's
	Created  time.Time      // zero is now
}

// Import makes an image of one layer from a tar of a root filesystem, which may
// be compressed, and gives the image's ID.
func (e *Engine) Import(ctx context.Context, r io.Reader, o ImportOptions) (digest.Digest, error) {
	name := ""
	if o.Name != "" {
		n, err := parseTarget(o.Name)
		if err != nil {
			return "", err
		}
		name = n.String()
	}
	c := e.importConfig(o)
	if err := change(&c, o.Changes); err != nil {
		return "", err
	}
	l, err := e.importLayer(ctx, r)
	if err != nil {
		return "", err
	}
	c.RootFS.DiffIDs = []digest.Digest{l.DiffID}
	return e.publishOn(ctx, name, c, nil, l)
}

func (e *Engine) importConfig(o ImportOptions) image.Config {
	var c image.Config
	c.Platform = o.Platform
	if c.OS == "" {
		c.Platform = e.platform
	}
	created := o.Created
	if created.IsZero() {
		created = time.Now()
	}
	created = created.UTC()
	c.Created = &created
	comment := o.Message
	if comment == "" && o.Source != "" {
		comment = "Imported from " + o.Source
	}
	c.RootFS.Type = "layers"
	c.History = []image.History{{Created: &created, Comment: comment}}
	return c
}

// importLayer unpacks the tar into a layer of its own.
func (e *Engine) importLayer(ctx context.Context, r io.Reader) (store.Layer, error) {
	var none store.Layer
	plain, _, err := layer.Decompress(r)
	if err != nil {
		return none, fmt.Errorf("import: %w", err)
	}
	defer plain.Close()
	d, err := e.store.NewLayer(ctx)
	if err != nil {
		return none, err
	}
	defer d.Discard()
	if _, err := layer.Apply(ctx, plain, d.Dir, layer.ApplyOptions{NoOwner: layer.SingleID()}); err != nil {
		return none, fmt.Errorf("import: %w", err)
	}
	l, err := d.Commit(ctx)
	if err != nil {
		return none, err
	}
	return e.store.Identify(ctx, l.ID)
}
