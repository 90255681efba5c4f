package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
			return a.inspectAny(cmd.Context(), o, args)
		},
	}
	cmd.Flags().StringVarP(&o.format, "format", "f", "", inspectFormatHelp)
	cmd.Flags().StringVar(&o.platform, "platform", "", "the platform to show of an image for several")
	cmd.Flags().StringVar(&o.kind, "type", "", "kind of object: container, image, network or volume")
	cmd.Flags().BoolVarP(&o.size, "size", "s", false, "show what containers have written, too")
	return cmd
}

// inspectAny finds out what each name is: a container first, then an image, then a volume,
// as in docker.
func (a *app) inspectAny(ctx context.Context, o inspectOptions, names []string) error {
	switch o.kind {
	case "image":
		return runInspect(ctx, a, o, names)
	case "container":
		return a.inspectContainers(names, o.format, o.size)
	case "volume":
		return a.inspectVolumes(names, o.format)
	case "network":
		return a.inspectNetworks(names, o.format)
	case "":
	default:
		return inspectNone(a, o, names)
	}
	var containers, images, volumes []string
	vs, err := a.volumes()
	if err != nil {
		return err
	}
	for _, n := range names {
		if _, err := a.findContainer(n); err == nil {
			containers = append(containers, n)
			continue
		}
		if _, err := vs.Find(n); err == nil && !a.hasImage(ctx, n) {
			volumes = append(volumes, n)
			continue
		}
		images = append(images, n)
	}
	switch {
	case len(containers) == len(names):
		return a.inspectContainers(names, o.format, o.size)
	case len(volumes) == len(names):
		return a.inspectVolumes(names, o.format)
	case len(images) == len(names):
		return runInspect(ctx, a, o, names)
	}
	return a.inspectMixed(ctx, o, names, containers, volumes)
}

// inspectMixed shows objects of several kinds, in the order they were named.
func (a *app) inspectMixed(ctx context.Context, o inspectOptions, names, containers, volumes []string) error {
	var all []json.RawMessage
	var missing failures
	for _, n := range names {
		var out bytes.Buffer
		shown := a.stdout
		a.stdout = &out
		var err error
		switch {
		case slices.Contains(containers, n):
			err = a.inspectContainers([]string{n}, "", o.size)
		case slices.Contains(volumes, n):
			err = a.inspectVolumes([]string{n}, "")
		default:
			err = runInspect(ctx, a, inspectOptions{platform: o.platform}, []string{n})
		}
		a.stdout = shown
		if err != nil {
			missing = append(missing, err)
			continue
		}
		var list []json.RawMessage
		if err := json.Unmarshal(out.Bytes(), &list); err != nil {
			return err
		}
		all = append(all, list...)
	}
	if o.format != "" && o.format != "json" {
		var objects []any
		for _, raw := range all {
			var v any
			if err := json.Unmarshal(raw, &v); err != nil {
				return err
			}
			objects = append(objects, v)
		}
		return errors.Join(format.Objects(a.stdout, o.format, objects), missing.err())
	}
	if err := format.Objects(a.stdout, o.format, all); err != nil {
		return err
	}
	return missing.err()
}

func (a *app) hasImage(ctx context.Context, name string) bool {
	e, err := a.engine()
	if err != nil {
		return false
	}
	_, err = e.ImageFor(ctx, name, nil)
	return err == nil
}

// otherKinds are docker's objects of which mica keeps none.
var otherKinds = []string{"config", "node", "plugin", "secret", "service", "task"}

// inspectNone answers for a kind of which there are no objects.
func inspectNone(a *app, o inspectOptions, names []string) error {
	if !slices.Contains(otherKinds, o.kind) {
		return fmt.Errorf("unknown type: %q: must be one of %q", o.kind, append([]string{"container", "image", "network", "volume"}, otherKinds...))
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
