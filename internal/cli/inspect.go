package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ui/format"
)

type inspectOptions struct {
	format, platform, kind string
	size                   bool
}

// newImageInspectCmd is `mica image inspect`.
func newImageInspectCmd(a *app) *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:               "inspect [OPTIONS] IMAGE [IMAGE...]",
		Short:             "Show everything about images",
		ValidArgsFunction: a.completeImages,
		Args:              args(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInspect(cmd.Context(), a, o, args)
		},
	}
	cmd.Flags().StringVarP(&o.format, "format", "f", "", inspectFormatHelp)
	cmd.Flags().StringVar(&o.platform, "platform", "", "the platform to show of an image for several")
	return cmd
}

// newInspectCmd is `mica inspect`, which takes any object there is.
func newInspectCmd(a *app) *cobra.Command {
	var o inspectOptions
	cmd := &cobra.Command{
		Use:               "inspect [OPTIONS] NAME|ID [NAME|ID...]",
		Short:             "Show everything about objects",
		ValidArgsFunction: a.completeImages,
		Args:              args(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.kind != "" && o.kind != "image" {
				return inspectNone(a, o, args)
			}
			return runInspect(cmd.Context(), a, o, args)
		},
	}
	cmd.Flags().StringVarP(&o.format, "format", "f", "", inspectFormatHelp)
	cmd.Flags().StringVar(&o.platform, "platform", "", "the platform to show of an image for several")
	cmd.Flags().StringVar(&o.kind, "type", "", "kind of object: image")
	cmd.Flags().BoolVarP(&o.size, "size", "s", false, "accepted for docker's sake; the size of images is always shown")
	return cmd
}

// otherKinds are docker's objects of which mica keeps none.
var otherKinds = []string{"config", "container", "network", "node", "plugin", "secret", "service", "task", "volume"}

// inspectNone answers for a kind of which there are no objects.
func inspectNone(a *app, o inspectOptions, names []string) error {
	if !slices.Contains(otherKinds, o.kind) {
		return fmt.Errorf("unknown type: %q: must be one of %q", o.kind, append([]string{"image"}, otherKinds...))
	}
	if err := format.Objects[engine.Inspection](a.stdout, o.format, nil); err != nil {
		return err
	}
	var missing failures
	for _, n := range names {
		missing = append(missing, fmt.Errorf("%s %s: %s", "No such", o.kind, n))
	}
	return missing.err()
}

const inspectFormatHelp = `"json", or a Go template for each object`

func runInspect(ctx context.Context, a *app, o inspectOptions, names []string) error {
	var platform *image.Platform
	if o.platform != "" {
		p, err := parsePlatforms([]string{o.platform})
		if err != nil {
			return err
		}
		platform = &p[0]
	}
	if o.format != "" && o.format != "json" {
		if _, err := format.Parse(o.format); err != nil {
			return withCode(64, err)
		}
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	var found []engine.Inspection
	var missing failures
	for _, n := range names {
		in, err := e.Inspect(ctx, n, platform)
		if err != nil {
			missing = append(missing, err)
			continue
		}
		found = append(found, in)
	}
	if err := format.Objects(a.stdout, o.format, found); err != nil {
		return err
	}
	return missing.err()
}
