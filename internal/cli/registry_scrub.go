package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/registry/server/storage"
)

type registryScrubOptions struct {
	registryDir
	storage.ScrubOptions
	format string
}

func newRegistryScrubCmd(a *app) *cobra.Command {
	var o registryScrubOptions
	cmd := &cobra.Command{
		Use:   "scrub [OPTIONS]",
		Short: "Verify everything in a registry",
		Long: `Read every blob of a registry and look for everything that its manifests need,
while servers go on. With --repair blobs whose bytes are not what they should be
are set aside, so that they can be pushed again.

The exit code is 1 if something is wrong and was not repaired.`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRegistryScrub(cmd.Context(), a, o)
		},
	}
	o.flag(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.Repair, "repair", false, "set damaged blobs aside")
	f.BoolVar(&o.Quick, "quick", false, "do not read the bytes of blobs")
	f.BoolVar(&o.Sparse, "sparse", false, "manifests may lack blobs")
	f.StringVar(&o.format, "format", "", `"json" (an object on each line), or a Go template for each problem`)
	return cmd
}

func runRegistryScrub(ctx context.Context, a *app, o registryScrubOptions) error {
	s, err := o.open(a)
	if err != nil {
		return err
	}
	if a.debug {
		o.Progress = func(object string) { fmt.Fprintln(a.stderr, object) }
	}
	list, err := storage.Scrub(ctx, s, o.ScrubOptions)
	if err != nil {
		return err
	}
	if o.format != "" {
		if err := format.Rows(a.stdout, o.format, "", list); err != nil {
			return err
		}
	}
	open := 0
	for _, p := range list {
		if !p.Repaired {
			open++
		}
		if o.format == "" {
			fmt.Fprintf(a.stdout, "%s%s %s\n", slashed(p.Repository), p.Digest, p.What)
		}
	}
	if o.format == "" && len(list) == 0 {
		fmt.Fprintln(a.stdout, "The registry is sound.")
	} else if o.format == "" {
		fmt.Fprintf(a.stdout, "Problems: %d, of them not repaired: %d.\n", len(list), open)
	}
	if open > 0 {
		return withCode(1, nil)
	}
	return nil
}
