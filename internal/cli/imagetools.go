package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/containerd/platforms"
	"github.com/spf13/cobra"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
)

func newImagetoolsCmd(a *app) *cobra.Command {
	return group("imagetools", "Work on images in registries", newImagetoolsInspectCmd(a), newImagetoolsCreateCmd(a))
}

func newImagetoolsInspectCmd(a *app) *cobra.Command {
	var spec string
	var raw bool
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] NAME",
		Short: "Show an image as a registry has it",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inspectRemote(cmd.Context(), a, args[0], spec, raw)
		},
	}
	cmd.Flags().StringVar(&spec, "format", "", `a Go template: {{.Name}}, {{json .Manifest}}, {{json .Image}}, {{json .Provenance}}, {{json .SBOM}}`)
	cmd.Flags().BoolVar(&raw, "raw", false, "show the bytes of the manifest")
	cmd.Flags().String("builder", "", "accepted: there is one builder")
	cmd.MarkFlagsMutuallyExclusive("format", "raw")
	return cmd
}

func inspectRemote(ctx context.Context, a *app, name, spec string, raw bool) error {
	r, err := ref.Parse(name)
	if err != nil {
		return err
	}
	repo := a.registry().Repository(r)
	d, err := repo.Resolve(ctx, r.Identifier())
	if err != nil {
		return err
	}
	data, err := content.ReadAll(ctx, repo, d)
	if err != nil {
		return err
	}
	if raw {
		_, err := a.stdout.Write(data)
		return err
	}
	m := &remoteManifest{MediaType: d.MediaType, Digest: d.Digest.String(), Size: d.Size, SchemaVersion: 2}
	if err := json.Unmarshal(data, m); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.MediaType = d.MediaType
	v := &remoteView{Name: r.String(), Manifest: m, ctx: ctx, repo: repo, of: d}
	if spec == "" || spec == "table" {
		return printRemote(a, v)
	}
	t, err := format.Parse(spec)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	fmt.Fprintln(a.stdout, b.String())
	return nil
}

// A remoteManifest is a manifest with its digest, as buildx shows it.
type remoteManifest struct {
	SchemaVersion int                `json:"schemaVersion"`
	MediaType     string             `json:"mediaType"`
	Digest        string             `json:"digest"`
	Size          int64              `json:"size"`
	Manifests     []image.Descriptor `json:"manifests,omitempty"`
	Config        *image.Descriptor  `json:"config,omitempty"`
	Layers        []image.Descriptor `json:"layers,omitempty"`
	Annotations   map[string]string  `json:"annotations,omitempty"`
}

// A remoteView is what a template of imagetools inspect sees. What takes requests is
// asked for when it is wanted.
type remoteView struct {
	Name     string
	Manifest *remoteManifest

	ctx  context.Context // of the command; a template has nowhere else to keep it
	repo *remote.Repository
	of   image.Descriptor
}

// Image is the image's config, or a map of them by platform.
func (v *remoteView) Image() (any, error) {
	if !image.IsIndex(v.of.MediaType) {
		return v.config(v.of)
	}
	all := map[string]any{}
	for _, d := range v.Manifest.Manifests {
		if d.Platform == nil || d.Platform.OS == "unknown" {
			continue
		}
		c, err := v.config(d)
		if err != nil {
			return nil, err
		}
		all[platforms.FormatAll(*d.Platform)] = c
	}
	return all, nil
}

func (v *remoteView) config(d image.Descriptor) (image.Config, error) {
	raw, err := content.ReadAll(v.ctx, v.repo, d)
	if err != nil {
		return image.Config{}, err
	}
	m, err := image.ParseManifest(raw)
	if err != nil {
		return image.Config{}, err
	}
	if raw, err = content.ReadAll(v.ctx, v.repo, m.Config); err != nil {
		return image.Config{}, err
	}
	return image.ParseConfig(raw)
}

// Provenance is what the attestations say of how the image was built, by platform.
func (v *remoteView) Provenance() (any, error) {
	return v.attested("https://slsa.dev/provenance/", "SLSA")
}

// SBOM is what the attestations say is in the image, by platform.
func (v *remoteView) SBOM() (any, error) { return v.attested("https://spdx.dev/Document", "SPDX") }

func printRemote(a *app, v *remoteView) error {
	tw := tabwriter.NewWriter(a.stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintf(tw, "Name:\t%s\nMediaType:\t%s\nDigest:\t%s\n", v.Name, v.Manifest.MediaType, v.Manifest.Digest)
	if len(v.Manifest.Manifests) > 0 {
		fmt.Fprintf(tw, "\t\nManifests:\t\n")
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	r, err := ref.Parse(v.Name)
	if err != nil {
		return err
	}
	for _, m := range v.Manifest.Manifests {
		fmt.Fprintf(tw, "  Name:\t%s@%s\n  MediaType:\t%s\n", r.String(), m.Digest, m.MediaType)
		if m.Platform != nil {
			fmt.Fprintf(tw, "  Platform:\t%s\n", platforms.FormatAll(*m.Platform))
		}
		for _, k := range sortedKeys(m.Annotations) {
			fmt.Fprintf(tw, "  Annotation:\t%s=%s\n", k, m.Annotations[k])
		}
		fmt.Fprintf(tw, "  \t\n")
	}
	return tw.Flush()
}
