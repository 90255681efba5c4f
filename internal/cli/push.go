package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/transfer"
)

type pushOptions struct {
	platform    string
	quiet       bool
	all         bool
	compression string
	level       int
	force       bool
	progress    string
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
	cmd.Flags().BoolVarP(&o.all, "all-tags", "a", false, "push all tags of the repository")
	cmd.Flags().StringVar(&o.platform, "platform", "", "platform to push of an image for several")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "only print the image's name")
	cmd.Flags().StringVar(&o.progress, "progress", "auto", `"auto", "tty", "plain" or "json" (events on standard error)`)
	cmd.Flags().StringVar(&o.compression, "compression", "gzip", `what layers made here become: "gzip", "zstd" or "uncompressed"`)
	cmd.Flags().IntVar(&o.level, "compression-level", 0, "the compressor's level; 0 is its default")
	cmd.Flags().BoolVar(&o.force, "force-compression", false, "compress layers anew that are compressed otherwise")
	return cmd
}

func runPush(ctx context.Context, a *app, o pushOptions, name string) error {
	var eo engine.PushOptions
	compression, err := transfer.ParseOptions(map[string]string{
		"compression": o.compression, "compression-level": strconv.Itoa(o.level), "force-compression": strconv.FormatBool(o.force),
	}, "gzip")
	if err != nil {
		return err
	}
	eo.Compression = &compression
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
	w := a.stdout
	if o.quiet {
		w = io.Discard
	}
	names := []string{name}
	if o.all {
		tags, err := e.LocalTags(ctx, name)
		if err != nil {
			return err
		}
		names = nil
		for _, t := range tags {
			names = append(names, t.String())
		}
	}
	if r, err := ref.ParseName(name); err == nil {
		if r.Tag == "" && r.Digest == "" && !o.all {
			fmt.Fprintln(w, "Using default tag: latest")
		}
		fmt.Fprintf(w, "The push refers to repository [%s]\n", r.Name())
	}
	for _, n := range names {
		display, err := a.bars(o.progress, o.quiet)
		if err != nil {
			return err
		}
		eo.Progress = (&layerLines{w: w}).push
		if display != nil {
			eo.Progress = showEvent(display)
		}
		p, err := e.Push(ctx, n, eo)
		if display != nil {
			display.Close()
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s: digest: %s size: %d\n", p.Ref.Tag, p.Target.Digest, p.Target.Size)
		if o.quiet {
			fmt.Fprintln(a.stdout, p.Ref.String())
		}
	}
	return nil
}
