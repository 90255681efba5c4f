package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

// imageToRun finds the image that name means, and pulls it if --pull says so.
func (a *app) imageToRun(ctx context.Context, o *runOptions, name string) (engine.Image, error) {
	e, err := a.engine()
	if err != nil {
		return engine.Image{}, err
	}
	var platform *image.Platform
	if o.platform != "" {
		list, err := parsePlatforms([]string{o.platform})
		if err != nil {
			return engine.Image{}, err
		}
		platform = &list[0]
	}
	if o.pull != "always" {
		m, err := e.ImageFor(ctx, name, platform)
		if o.pull == "never" || !errors.Is(err, errs.ErrNotFound) {
			return m, err
		}
	}
	if err := a.pullToRun(ctx, o, name); err != nil {
		return engine.Image{}, err
	}
	return e.ImageFor(ctx, name, platform)
}

// pullToRun pulls an image and says so on stderr: stdout is the command's.
func (a *app) pullToRun(ctx context.Context, o *runOptions, name string) error {
	if r, err := ref.Parse(name); err == nil {
		name = r.Familiar()
	}
	if o.pull != "always" {
		fmt.Fprintf(a.stderr, "Unable to find image '%s' locally\n", name)
	}
	p, err := pullOne(ctx, &app{stdout: a.stderr, stderr: a.stderr, eng: a.eng}, pullOptions{platform: o.platform, quiet: o.quiet}, name)
	if err == nil && !o.quiet {
		fmt.Fprintln(a.stderr, "Status: "+pullStatus(p.New)+p.Ref.Familiar())
	}
	return err
}
