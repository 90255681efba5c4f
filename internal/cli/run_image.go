
package cli

import (
	"context"
	"fmt"

	"github.com/mica-build/mica/container"
	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// imageToRun finds the image that name means.
func (a *app) imageToRun(ctx context.Context, o *runOptions, name string) (engine.Image, error) {
	e, err := a.engine()
	if err != nil {
		return engine.Image{}, err
	}
	m, err := e.Image(ctx, name)
	if err != nil {
		return m, err
	}
	if !m.Complete() {
		return m, fmt.Errorf("image %s: %w for platform %s", name, errs.ErrNotFound, o.platform)
	}
	return m, nil
}

// containerRunner makes what runs containers; start runs a prepared one.
func (a *app) containerRunner(start func(context.Context, *sandbox.Runner, *sandbox.Spec) error) (*container.Runner, error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	r := a.sandbox()
	return &container.Runner{
		Store:   s,
		Mounter: a.mounter(),
		Sandbox: func(ctx context.Context, s *sandbox.Spec) error { return start(ctx, r, s) },
	}, nil
}
