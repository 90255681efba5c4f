package mirror

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/archive"
	"github.com/mica-build/mica/content/layout"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
)

// A Local is a store of images on this machine.
type Local interface {
	content.Store
	// Pack gives the image name as it goes to others, its layers compressed.
	Pack(ctx context.Context, name string) (image.Descriptor, error)
	// Names lists the names of images.
	Names(ctx context.Context) ([]string, error)
}

// Places opens locations.
type Places struct {
	Remote *remote.Client
	// Local opens the local store; it is asked only when a location is in it.
	Local func() (Local, error)
	// Stdin and Stdout are what "-" stands for.
	Stdin  io.Reader
	Stdout io.Writer
}

// A place can be copied from and to.
type place interface {
	Source
	Target
}

// both opens a registry or the store.
func (p Places) both(l Location) (place, error) {
	if l.Kind == Store {
		s, err := p.Local()
		if err != nil {
			return nil, err
		}
		return &storePlace{s}, nil
	}
	r, err := ref.ParseName(l.Name)
	if err != nil {
		return nil, err
	}
	return &registryPlace{p.Remote.Repository(r)}, nil
}

// Source opens l to be copied from.
func (p Places) Source(ctx context.Context, l Location) (Source, error) {
	switch l.Kind {
	case Registry, Store:
		return p.both(l)
	case Layout:
		y, err := layout.Open(l.Path)
		if err != nil {
			return nil, err
		}
		return &layoutPlace{y}, nil
	}
	return p.openArchive(ctx, l)
}

func (p Places) openArchive(ctx context.Context, l Location) (Source, error) {
	if l.Path == "-" {
		a, err := archive.Open(ctx, p.Stdin, archive.Options{})
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return &archiveSource{Archive: a}, nil
	}
	f, err := os.Open(l.Path)
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	a, err := archive.Open(ctx, f, archive.Options{})
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", l.Path, err)
	}
	return &archiveSource{a, f}, nil
}

// Target opens l to be copied to. What has to be whole, an archive, is not there
// before it is closed.
func (p Places) Target(_ context.Context, l Location) (Target, error) {
	switch l.Kind {
	case Registry, Store:
		return p.both(l)
	case Layout:
		y, err := layout.Create(l.Path)
		if err != nil {
			return nil, err
		}
		return &layoutPlace{y}, nil
	}
	o := archive.WriterOptions{OCIOnly: l.Kind == Archive}
	if l.Path == "-" {
		return newArchiveTarget(p.Stdout, nil, "", o)
	}
	if _, err := os.Stat(l.Path); err == nil {
		return nil, fmt.Errorf("write archive %s: %w: there is something of that name; an archive is written anew, not changed", l.Path, errs.ErrConflict)
	}
	f, err := os.CreateTemp(filepath.Dir(l.Path), ".mica-*.tar")
	if err != nil {
		return nil, fmt.Errorf("write archive: %w", err)
	}
	return newArchiveTarget(f, f, l.Path, o)
}
