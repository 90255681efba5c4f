package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/ref"
)

type pushOptions struct {
	platform string
	quiet    bool
}

func newPushCmd(a *app) *cobra.Command {
	var o pushOptions
	cmd := &cobra.Command{
		Use:               "push [OPTIONS] NAME[:TAG]",
		Short:             "Copy an image to a registry",
		ValidArgsFunction: a.completeImages,
		Args:              args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPush(cmd.Context(), a, o, args[0])
		},
	}
	cmd.Flags().StringVar(&o.platform, "platform", "", "platform to push of an image for several")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "only print the image's name")
	return cmd
}

func runPush(ctx context.Context, a *app, o pushOptions, name string) error {
	var eo engine.PushOptions
	if o.platform != "" {
		p, err := parsePlatforms([]string{o.platform})
		if err != nil {
			return err
		}
		eo.Platform = &p[0]
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	lines := &layerLines{w: a.stdout}
	if o.quiet {
		lines.w = io.Discard
	}
	if r, err := ref.ParseName(name); err == nil {
		if r.Tag == "" && r.Digest == "" {
			fmt.Fprintln(lines.w, "Using default tag: latest")
		}
		fmt.Fprintf(lines.w, "The push refers to repository [%s]\n", r.Name())
	}
	eo.Progress = lines.push
	p, err := e.Push(ctx, name, eo)
	if err != nil {
		return err
	}
	fmt.Fprintf(lines.w, "%s: digest: %s size: %d\n", p.Ref.Tag, p.Target.Digest, p.Target.Size)
	if o.quiet {
		fmt.Fprintln(a.stdout, p.Ref.String())
	}
	return nil
}
