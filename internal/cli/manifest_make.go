package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
)

func newManifestCreateCmd(a *app) *cobra.Command {
	var amend, insecure bool
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] LIST MANIFEST [MANIFEST...]",
		Short: "Begin a list of manifests, to be annotated and pushed",
		Args:  args(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return createManifestList(cmd.Context(), a, args[0], args[1:], amend, insecure)
		},
	}
	cmd.Flags().BoolVarP(&amend, "amend", "a", false, "add to a list that is there")
	insecureFlag(cmd, &insecure)
	return cmd
}

func createManifestList(ctx context.Context, a *app, name string, manifests []string, amend, insecure bool) error {
	list, err := ref.Parse(name)
	if err != nil {
		return err
	}
	local := manifestLists{a.configDir}
	if _, err := local.all(list); err == nil && !amend {
		return withHint(fmt.Errorf("refusing to amend an existing manifest list with no --amend flag: %w", errs.ErrConflict),
			"Add to it with --amend, or remove it with: mica manifest rm "+name)
	} else if err != nil && !errors.Is(err, errs.ErrNotFound) {
		return err
	}
	// All of them first: half a list is no list.
	refs, found := make([]ref.Ref, len(manifests)), make([]listedManifest, len(manifests))
	for i, s := range manifests {
		if refs[i], err = ref.Parse(s); err != nil {
			return err
		}
		repo := a.client(insecure, refs[i].Domain).Repository(refs[i])
		d, err := repo.Resolve(ctx, refs[i].Identifier())
		if err != nil {
			return noSuchManifest(refs[i], err)
		}
		if image.IsIndex(d.MediaType) {
			return fmt.Errorf("%s is a manifest list itself: %w: name its manifests by digest (mica manifest inspect %s)", s, errs.ErrInvalid, s)
		}
		if found[i], err = fetchManifest(ctx, repo, refs[i], d); err != nil {
			return err
		}
	}
	for i, m := range found {
		if err := local.put(list, refs[i], m); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.stdout, "Created manifest list %s\n", list.String())
	return nil
}

type annotateOptions struct {
	os, arch, variant, osVersion string
	osFeatures                   []string
}

func newManifestAnnotateCmd(a *app) *cobra.Command {
	var o annotateOptions
	cmd := &cobra.Command{
		Use:   "annotate [OPTIONS] LIST MANIFEST",
		Short: "Say for which platform a manifest of a list is",
		Args:  args(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			return annotateManifest(a, o, args[0], args[1])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.os, "os", "", "operating system")
	f.StringVar(&o.arch, "arch", "", "architecture")
	f.StringVar(&o.variant, "variant", "", "variant of the architecture")
	f.StringVar(&o.osVersion, "os-version", "", "version of the operating system")
	f.StringSliceVar(&o.osFeatures, "os-features", nil, "features of the operating system")
	return cmd
}

func annotateManifest(a *app, o annotateOptions, list, manifest string) error {
	lr, err := ref.Parse(list)
	if err != nil {
		return err
	}
	mr, err := ref.Parse(manifest)
	if err != nil {
		return err
	}
	local := manifestLists{a.configDir}
	m, err := local.get(lr, mr)
	if err != nil {
		return err
	}
	if m.Descriptor.Platform == nil {
		m.Descriptor.Platform = &image.Platform{}
	}
	p := m.Descriptor.Platform
	for _, set := range []struct{ to, from *string }{{&p.OS, &o.os}, {&p.Architecture, &o.arch}, {&p.Variant, &o.variant}, {&p.OSVersion, &o.osVersion}} {
		if *set.from != "" {
			*set.to = *set.from
		}
	}
	p.OSFeatures = append(p.OSFeatures, o.osFeatures...)
	return local.put(lr, mr, m)
}

func newManifestPushCmd(a *app) *cobra.Command {
	var purge, insecure bool
	cmd := &cobra.Command{
		Use:   "push [OPTIONS] LIST",
		Short: "Push a list, and the manifests in it that its repository does not have",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return pushManifestList(cmd.Context(), a, args[0], purge, insecure)
		},
	}
	cmd.Flags().BoolVarP(&purge, "purge", "p", false, "forget the list after it was pushed")
	insecureFlag(cmd, &insecure)
	return cmd
}

func pushManifestList(ctx context.Context, a *app, name string, purge, insecure bool) error {
	list, err := ref.Parse(name)
	if err != nil {
		return err
	}
	local := manifestLists{a.configDir}
	members, err := local.all(list)
	if err != nil {
		return err
	}
	d, raw, err := makeList(members)
	if err != nil {
		return err
	}
	client := a.client(insecure, list.Domain)
	dst := client.Repository(list)
	for _, m := range members {
		from, err := ref.Parse(m.Ref)
		if err != nil {
			return err
		}
		o := content.CopyOptions{MountFrom: func(image.Descriptor) []string { return []string{from.Name()} }}
		if from.Domain != list.Domain {
			o.MountFrom = nil
		}
		if _, err := content.Copy(ctx, dst, client.Repository(from), m.Descriptor, o); err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "Pushed ref %s@%s with digest: %s\n", list.Name(), m.Descriptor.Digest, m.Descriptor.Digest)
	}
	if err := dst.Push(ctx, d, bytes.NewReader(raw)); err != nil {
		return err
	}
	if err := dst.Tag(ctx, list.Tag, d); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout, d.Digest)
	if purge {
		return local.remove(list)
	}
	return nil
}

func newManifestRmCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rm LIST [LIST...]",
		Short: "Forget lists that were made here",
		Args:  args(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			var all []error
			for _, name := range args {
				list, err := ref.Parse(name)
				if err == nil {
					err = manifestLists{a.configDir}.remove(list)
				}
				all = append(all, err)
			}
			return errors.Join(all...)
		},
	}
}
