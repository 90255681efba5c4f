package build

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content/layout"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

type namedLayout struct {
	path string
	root digest.Digest
}

// addLayout makes the layout "path[:tag|@digest]" known as id, and gives the
// context value that the front end takes for it.
func (m *images) addLayout(ctx context.Context, id, spec string) (string, error) {
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
		d, err := taggedOrOnly(ctx, l, tag)
		if err != nil {
			return "", err
		}
		dgst = d.Digest.String()
	}
	m.layouts[id] = namedLayout{path: path, root: digest.Digest(dgst)}
	return "oci-layout://" + id + "@" + dgst, nil
}

// taggedOrOnly finds tag; without one "latest", or else the only image there is.
func taggedOrOnly(ctx context.Context, l *layout.Layout, tag string) (image.Descriptor, error) {
	if tag != "" {
		return l.Resolve(ctx, tag)
	}
	d, err := l.Resolve(ctx, "latest")
	if errors.Is(err, errs.ErrNotFound) {
		if only, oerr := l.Resolve(ctx, ""); oerr == nil {
			return only, nil
		}
	}
	return d, err
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
