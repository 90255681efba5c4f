package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
)

func newManifestCmd(a *app) *cobra.Command {
	return group("manifest", "Show manifests of a registry, and make lists of them",
		newManifestInspectCmd(a), newManifestCreateCmd(a), newManifestAnnotateCmd(a), newManifestPushCmd(a), newManifestRmCmd(a))
}

// insecureFlag is docker's --insecure.
func insecureFlag(cmd *cobra.Command, p *bool) {
	cmd.Flags().BoolVar(p, "insecure", false, "allow plain http and certificates that nobody vouches for")
}

// client is the registry client; insecure lets it talk to host without TLS.
func (a *app) client(insecure bool, host string) *remote.Client {
	o := a.registryOptions()
	if insecure {
		o.Insecure = append(o.Insecure, host)
	}
	return remote.New(o)
}

func newManifestInspectCmd(a *app) *cobra.Command {
	var verbose, insecure bool
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] [LIST] MANIFEST",
		Short: "Show a manifest or a list of manifests as a registry has it, or as it is made here",
		Args:  args(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			list := ""
			if len(args) == 2 {
				list = args[0]
			}
			return inspectManifest(cmd.Context(), a, list, args[len(args)-1], verbose, insecure)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show the descriptors, and the manifests of a list")
	insecureFlag(cmd, &insecure)
	return cmd
}

func inspectManifest(ctx context.Context, a *app, list, name string, verbose, insecure bool) error {
	r, err := ref.Parse(name)
	if err != nil {
		return err
	}
	local := manifestLists{a.configDir}
	if list != "" {
		lr, err := ref.Parse(list)
		if err != nil {
			return err
		}
		m, err := local.get(lr, r)
		if err != nil {
			return err
		}
		return printManifest(a, m, verbose)
	}
	if members, err := local.all(r); err == nil {
		return printLocalList(a, members, verbose)
	}
	repo := a.client(insecure, r.Domain).Repository(r)
	d, err := repo.Resolve(ctx, r.Identifier())
	if err != nil {
		return noSuchManifest(r, err)
	}
	m, err := fetchManifest(ctx, repo, r, d)
	if err != nil {
		return err
	}
	if !image.IsIndex(d.MediaType) || !verbose {
		return printManifest(a, m, verbose)
	}
	x, err := image.ParseIndex(m.Raw)
	if err != nil {
		return err
	}
	var members []listedManifest
	for _, d := range x.Manifests {
		member, err := fetchManifest(ctx, repo, r.WithDigest(d.Digest), d)
		if err != nil {
			return err
		}
		members = append(members, member)
	}
	return printIndented(a, members)
}

// noSuchManifest is docker's message for what a registry does not have.
func noSuchManifest(r ref.Ref, err error) error {
	return fmt.Errorf("no such manifest: %s: %w", r.Familiar(), err)
}

// fetchManifest reads a manifest and describes it with its platform.
func fetchManifest(ctx context.Context, repo *remote.Repository, r ref.Ref, d image.Descriptor) (listedManifest, error) {
	raw, err := content.ReadAll(ctx, repo, d)
	if err != nil {
		return listedManifest{}, err
	}
	m := listedManifest{Ref: r.String(), Descriptor: d, Raw: raw}
	if image.IsIndex(d.MediaType) {
		return m, nil
	}
	parsed, err := image.ParseManifest(raw)
	if err != nil {
		return m, fmt.Errorf("%s: %w", r.Familiar(), err)
	}
	m.set(raw)
	if d.Platform == nil {
		if config, err := content.ReadAll(ctx, repo, parsed.Config); err == nil {
			if c, err := image.ParseConfig(config); err == nil && c.OS != "" {
				p := c.Platform
				m.Descriptor.Platform = &p
			}
		}
	}
	return m, nil
}

func printManifest(a *app, m listedManifest, verbose bool) error {
	if verbose {
		return printIndented(a, m)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, m.Raw, "", "\t"); err != nil {
		return fmt.Errorf("%s: %w: %w", m.Ref, errs.ErrInvalid, err)
	}
	fmt.Fprintln(a.stdout, b.String())
	return nil
}

func printLocalList(a *app, members []listedManifest, verbose bool) error {
	if verbose {
		return printIndented(a, members)
	}
	_, raw, err := makeList(members)
	if err != nil {
		return err
	}
	return printManifest(a, listedManifest{Raw: raw}, false)
}

func printIndented(a *app, v any) error {
	raw, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "%s\n", raw)
	return nil
}
