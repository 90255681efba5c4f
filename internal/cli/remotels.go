package cli

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/transfer/mirror"
)

func newTagsCmd(a *app) *cobra.Command {
	var o struct {
		filter []string
		format string
		all    bool
	}
	cmd := &cobra.Command{
		Use:   "tags [OPTIONS] REPOSITORY",
		Short: "List the tags that a registry has of a repository",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := ref.ParseName(args[0])
			if err != nil {
				return err
			}
			if r.Tag != "" || r.Digest != "" {
				return fmt.Errorf("%s: %w: a repository is wanted, without tag or digest", args[0], errs.ErrInvalid)
			}
			tags, err := a.registry().Repository(r).Tags(cmd.Context())
			if err != nil {
				return err
			}
			return printTags(a, tags, o.filter, o.format, o.all)
		},
	}
	cmd.Flags().StringArrayVar(&o.filter, "filter", nil, "only tags that match a pattern, such as '3.*'")
	cmd.Flags().BoolVarP(&o.all, "all", "a", false, "also tags that tools keep for what refers to a digest")
	cmd.Flags().StringVar(&o.format, "format", "", `"json", or a Go template for each tag`)
	return cmd
}

func printTags(a *app, tags, patterns []string, spec string, all bool) error {
	type row struct{ Tag string }
	rows := []row{}
	for _, t := range tags {
		if !all && mirror.DigestTag(t) {
			continue
		}
		keep := len(patterns) == 0
		for _, p := range patterns {
			ok, err := path.Match(p, t)
			if err != nil {
				return fmt.Errorf("--filter %q: %w", p, errs.ErrInvalid)
			}
			keep = keep || ok
		}
		if keep {
			rows = append(rows, row{t})
		}
	}
	if spec == "" {
		spec = "{{.Tag}}"
	}
	return format.Rows(a.stdout, spec, "", rows)
}

func newDigestCmd(a *app) *cobra.Command {
	var platform string
	cmd := &cobra.Command{
		Use:   "digest [OPTIONS] REFERENCE",
		Short: "Print the digest that a registry has for a name",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, d, err := a.remoteImage(cmd.Context(), args[0], platform)
			if err != nil {
				return err
			}
			fmt.Fprintln(a.stdout, d.Digest)
			return nil
		},
	}
	cmd.Flags().StringVar(&platform, "platform", "", "of an image for several platforms the manifest for this one")
	return cmd
}

// remoteImage asks a registry what a name stands for; with platform, of an index
// the manifest for it.
func (a *app) remoteImage(ctx context.Context, name, platform string) (mirror.Source, image.Descriptor, error) {
	l, err := mirror.ParseLocation(name)
	if err != nil {
		return nil, image.Descriptor{}, err
	}
	src, err := a.places().Source(ctx, l)
	if err != nil {
		return nil, image.Descriptor{}, err
	}
	d, err := src.Resolve(ctx, l.Image())
	if err != nil || platform == "" || !image.IsIndex(d.MediaType) {
		return src, d, err
	}
	want, err := parsePlatforms([]string{platform})
	if err != nil {
		return src, d, err
	}
	raw, err := content.ReadAll(ctx, src, d)
	if err != nil {
		return src, d, err
	}
	x, err := image.ParseIndex(raw)
	if err != nil {
		return src, d, err
	}
	d, err = image.SelectManifest(x, want[0])
	return src, d, err
}

// A referrerRow is a line of `mica referrers`.
type referrerRow struct {
	Digest       string
	ArtifactType string
	Size         string
	Annotations  string
	MediaType    string
	Bytes        int64
}

func newReferrersCmd(a *app) *cobra.Command {
	var o struct{ artifactType, platform, format string }
	cmd := &cobra.Command{
		Use:   "referrers [OPTIONS] REFERENCE",
		Short: "List what refers to an image: signatures, SBOMs, attestations",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src, d, err := a.remoteImage(cmd.Context(), args[0], o.platform)
			if err != nil {
				return err
			}
			defer src.Close()
			found, err := src.Referrers(cmd.Context(), d.Digest)
			if err != nil {
				return err
			}
			return format.Rows(a.stdout, o.format, "{{.Digest}}\t{{.ArtifactType}}\t{{.Size}}\t{{.Annotations}}", referrerRows(found, o.artifactType))
		},
	}
	cmd.Flags().StringVar(&o.artifactType, "artifact-type", "", "only those of this type")
	cmd.Flags().StringVar(&o.platform, "platform", "", "of an image for several platforms the manifest for this one")
	cmd.Flags().StringVar(&o.format, "format", "", formatHelp)
	return cmd
}

func referrerRows(found []image.Descriptor, artifactType string) []referrerRow {
	rows := []referrerRow{}
	for _, m := range found {
		if artifactType != "" && m.ArtifactType != artifactType {
			continue
		}
		var notes []string
		for _, k := range slices.Sorted(maps.Keys(m.Annotations)) {
			notes = append(notes, k+"="+m.Annotations[k])
		}
		rows = append(rows, referrerRow{
			Digest: m.Digest.String(), ArtifactType: m.ArtifactType, Size: format.Size(m.Size),
			Annotations: strings.Join(notes, ","), MediaType: m.MediaType, Bytes: m.Size,
		})
	}
	return rows
}
