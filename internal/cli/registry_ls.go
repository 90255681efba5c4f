package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/registry/server"
	"github.com/mica-build/mica/registry/server/storage"
)

type registryListOptions struct {
	registryDir
	format string
}

func newRegistryLsCmd(a *app) *cobra.Command {
	var o registryListOptions
	cmd := &cobra.Command{
		Use:   "ls [OPTIONS] [REPOSITORY]",
		Short: "List the repositories of a registry, or the tags of one",
		Args:  args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := o.open(a)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return listTags(cmd.Context(), a, s, args[0], o.format)
			}
			return listRepositories(cmd.Context(), a, s, o.format)
		},
	}
	o.flag(cmd)
	cmd.Flags().StringVar(&o.format, "format", "", `"table", "json", or a Go template for each line`)
	return cmd
}

func newRegistryDuCmd(a *app) *cobra.Command {
	var o registryListOptions
	cmd := &cobra.Command{
		Use:   "du [OPTIONS]",
		Short: "Show how much each repository of a registry has, and what it takes in all",
		Long: `Show how much each repository has, and what all of them take on the disk. A blob
counts in each repository that has it, and once in all.`,
		Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := o.open(a)
			if err != nil {
				return err
			}
			return runRegistryDu(cmd.Context(), a, s, o.format)
		},
	}
	o.flag(cmd)
	cmd.Flags().StringVar(&o.format, "format", "", `"table", "json", or a Go template for each repository`)
	return cmd
}

// A repositoryRow is a line of registry ls.
type repositoryRow struct {
	Repository             string
	Tags, Manifests, Blobs int
	Size                   string
	Bytes                  int64
}

const repositoryTable = "{{.Repository}}\t{{.Tags}}\t{{.Manifests}}\t{{.Blobs}}\t{{.Size}}"

func listRepositories(ctx context.Context, a *app, s *storage.Storage, spec string) error {
	list, err := s.Index.Repositories(ctx, storage.Page{})
	if err != nil {
		return err
	}
	rows := []repositoryRow{}
	for _, r := range list {
		rows = append(rows, repositoryRow{r.Name, r.Tags, r.Manifests, r.Blobs, format.Size(r.Bytes), r.Bytes})
	}
	return format.Rows(a.stdout, spec, repositoryTable, rows)
}

// A tagRow is a line of registry ls REPOSITORY.
type tagRow struct {
	Tag, Digest string
	Pushed      string
	Pulled      string
}

func listTags(ctx context.Context, a *app, s *storage.Storage, repo, spec string) error {
	if !server.ValidName(repo) {
		return fmt.Errorf("repository %q: %w", repo, errs.ErrInvalid)
	}
	if _, err := s.Index.TagNames(ctx, repo, storage.Page{N: 1}); err != nil {
		return err
	}
	tags, err := s.Index.Tags(ctx, repo, storage.Page{})
	if err != nil {
		return err
	}
	now := time.Now()
	rows := []tagRow{}
	for _, t := range tags {
		pulled := "never"
		if !t.Pulled.IsZero() {
			pulled = format.Since(now, t.Pulled)
		}
		rows = append(rows, tagRow{t.Name, t.Digest.String(), format.Since(now, t.Pushed), pulled})
	}
	return format.Rows(a.stdout, spec, "{{.Tag}}\t{{.Digest}}\t{{.Pushed}}\t{{.Pulled}}", rows)
}

func runRegistryDu(ctx context.Context, a *app, s *storage.Storage, spec string) error {
	if err := listRepositories(ctx, a, s, spec); err != nil || spec != "" && spec != "table" {
		return err
	}
	var n int
	var bytes int64
	if err := s.Blobs.Each(ctx, func(b storage.Stored) error {
		n++
		bytes += b.Size
		return nil
	}); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\nOn the disk: %d blobs, %s\n", n, format.Size(bytes))
	return nil
}
