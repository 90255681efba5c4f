package engine

import (
	"errors"

	"github.com/containerd/platforms"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/store"
)

// An Engine works on the images of one store.
type Engine struct {
	store    *store.Store
	view     *store.Store // the same, for looking: what it pins is let go before anything is pruned
	platform image.Platform
	registry *remote.Client
}

// Options configure Open. The zero value works.
type Options struct {
	// Platform is the one shown and used of images for several platforms; the
	// zero value is this machine's.
	Platform image.Platform
	// Registry is the client that pulls and pushes; nil is an anonymous one.
	Registry *remote.Client
	// Store is passed on to store.Open.
	Store store.Options
}

// Open opens the store in dir, which is made when it is not there.
func Open(dir string, o Options) (*Engine, error) {
	s, err := store.Open(dir, o.Store)
	if err != nil {
		return nil, err
	}
	view, err := store.Open(dir, o.Store)
	if err != nil {
		s.Close()
		return nil, err
	}
	p := o.Platform
	if p.OS == "" {
		p = platforms.DefaultSpec()
	}
	if o.Registry == nil {
		o.Registry = remote.New(remote.Options{})
	}
	return &Engine{store: s, view: view, platform: platforms.Normalize(p), registry: o.Registry}, nil
}

// Close ends the engine's hold on what it used; it may then be collected.
func (e *Engine) Close() error { return errors.Join(e.view.Close(), e.store.Close()) }

// Store is the store below, for what the engine has no method for.
func (e *Engine) Store() *store.Store { return e.store }

// Registry is the client that pulls and pushes.
func (e *Engine) Registry() *remote.Client { return e.registry }

// Platform is the platform the engine shows of images for several.
func (e *Engine) Platform() image.Platform { return e.platform }
