package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/registry/server/storage"
)

type registryGCOptions struct {
	registryDir
	dry, untagged bool
	grace         time.Duration
	format        string
}

func newRegistryGCCmd(a *app) *cobra.Command {
	var o registryGCOptions
	cmd := &cobra.Command{
		Use:   "gc [OPTIONS]",
		Short: "Remove from a registry what nothing needs",
		Long: `Remove from a registry blobs that no manifest needs, and uploads that were given
up, while servers go on. What was pushed or asked for within the grace time
stays: a push takes a while from its first blob to its manifest.

With --untagged, manifests go too that no tag leads to: neither one of their own,
nor through an index, nor through the manifest that they refer to.`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRegistryGC(cmd.Context(), a, o)
		},
	}
	o.flag(cmd)
	f := cmd.Flags()
	f.BoolVar(&o.dry, "dry-run", false, "only list what would be removed")
	f.BoolVar(&o.untagged, "untagged", false, "also manifests that no tag leads to")
	f.DurationVar(&o.grace, "grace", 24*time.Hour, "how long what nothing needs stays; 0 only where nobody pushes")
	f.StringVar(&o.format, "format", "", `"json" (an object on each line), or a Go template for each thing removed`)
	return cmd
}

// A removedRow is one thing that goes.
type removedRow struct {
	Kind       string
	Repository string
	Digest     string
	Size       int64
}

func runRegistryGC(ctx context.Context, a *app, o registryGCOptions) error {
	s, err := o.open(a)
	if err != nil {
		return err
	}
	if o.grace <= 0 {
		o.grace = -1
	}
	g, err := storage.CollectGarbage(ctx, s, storage.GCOptions{Grace: o.grace, Untagged: o.untagged, Dry: o.dry})
	if perr := printGarbage(a, o, g); err == nil {
		err = perr
	}
	return err
}

func printGarbage(a *app, o registryGCOptions, g storage.Garbage) error {
	var rows []removedRow
	for _, part := range []struct {
		kind string
		list []storage.Removed
	}{{"manifest", g.Manifests}, {"link", g.Links}, {"blob", g.Blobs}} {
		for _, r := range part.list {
			rows = append(rows, removedRow{part.kind, r.Repository, r.Digest.String(), r.Size})
		}
	}
	if o.format != "" {
		return format.Rows(a.stdout, o.format, "", rows)
	}
	for _, r := range rows {
		fmt.Fprintf(a.stdout, "%s %s%s %s\n", r.Kind, slashed(r.Repository), r.Digest, format.Size(r.Size))
	}
	if g.Uploads.Uploads > 0 {
		fmt.Fprintf(a.stdout, "uploads given up: %d, %s\n", g.Uploads.Uploads, format.Size(g.Uploads.Bytes))
	}
	words := "Total reclaimed space"
	if o.dry {
		words = "Total reclaimable space"
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", words, format.Size(g.Bytes))
	return nil
}

// slashed is a repository's name before a digest.
func slashed(repo string) string {
	if repo == "" {
		return ""
	}
	return repo + "@"
}
