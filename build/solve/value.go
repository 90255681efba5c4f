package solve

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/store"
)

// A Value is one output of a node: a stack of layers, or a live local
// directory. Values are immutable.
type Value struct {
	// Key is what steps on top of this value use as their input's key. A live
	// directory has none: its users key on the content they read.
	Key store.Key
	// Layers is the stack, bottom first; nil and no Local is scratch.
	Layers []*Layer
	// Local is set for a live directory.
	Local *Local
	// Planned says that the value was not made: its Key is what a step that gives
	// the same for the same would give it, its Layers are those below it.
	Planned bool
}

// Local is a live directory on the machine that runs the build.
type Local struct {
	Name    string   // of the context: "context", or a named one
	Dir     string   // absolute path
	Exclude []string // .dockerignore patterns
	// Owned says that owners in Dir are meant (a tar context), rather than 0:0.
	Owned bool
}

// IDs lists the stack's layer ids, fetching and unpacking what is not there yet.
func (v Value) IDs(ctx context.Context) ([]store.LayerID, error) {
	ls, err := v.Stack(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]store.LayerID, len(ls))
	for i, l := range ls {
		ids[i] = l.ID
	}
	return ids, nil
}

// Stack is the stack of layer trees, bottom first, with every layer unpacked.
func (v Value) Stack(ctx context.Context) ([]store.Layer, error) {
	out := make([]store.Layer, len(v.Layers))
	for i, l := range v.Layers {
		t, err := l.Tree(ctx)
		if err != nil {
			return nil, err
		}
		out[i] = t
	}
	return out, nil
}

// A Layer is one layer of a stack, whose tree may still be to be fetched.
type Layer struct {
	// DiffID and Desc are known for layers of an image that was pulled or is in
	// the store: Desc is the blob as its manifest lists it.
	DiffID digest.Digest
	Desc   image.Descriptor

	mu    sync.Mutex
	tree  store.Layer
	fetch func(ctx context.Context) (store.Layer, error)
}

// Stored is a layer whose tree is in the store.
func Stored(l store.Layer) *Layer { return &Layer{DiffID: l.DiffID, tree: l} }

// Lazy is a layer of an image; fetch makes its tree at the first use.
func Lazy(diffID digest.Digest, d image.Descriptor, fetch func(context.Context) (store.Layer, error)) *Layer {
	return &Layer{DiffID: diffID, Desc: d, fetch: fetch}
}

// Tree gives the layer's tree. Concurrent callers wait for one fetch; a failed
// one is tried again by the next caller.
func (l *Layer) Tree(ctx context.Context) (store.Layer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tree.ID != "" {
		return l.tree, nil
	}
	t, err := l.fetch(ctx)
	if err != nil {
		return store.Layer{}, err
	}
	l.tree = t
	return t, nil
}
