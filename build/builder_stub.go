//go:build !lead

package build

import (
	"context"
	"errors"
	"log/slog"

	"github.com/mica-build/mica/build/op"
	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/snapshot"
	"github.com/mica-build/mica/store"
)

type Options struct {
	Runner   op.Runner
	Mounter  snapshot.Mounter
	Registry func(ref.Ref) (content.Store, error)
	Parallel int
	Platform image.Platform
	Version  string
	Log      *slog.Logger
}

type Builder struct{}

type SourceError struct{ Err error }

func (e *SourceError) Error() string { return e.Err.Error() }

func New(st *store.Store, o Options) *Builder { return &Builder{} }

func (b *Builder) Build(ctx context.Context, r *Request) (*Result, error) {
	return nil, errors.New("the engine is being put in place")
}
