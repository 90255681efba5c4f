package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/opencontainers/image-spec/specs-go"
	"github.com/spf13/cobra"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
)

type imagetoolsCreateOptions struct {
	tags        []string
	files       []string
	annotations []string
	platforms   []string
	append      bool
	dryRun      bool
	preferIndex bool
	metadata    string
}

func newImagetoolsCreateCmd(a *app) *cobra.Command {
	var o imagetoolsCreateOptions
	cmd := &cobra.Command{
		Use:   "create [OPTIONS] [SOURCE...]",
		Short: "Make an image for several platforms out of others, in registries",
		Args:  args(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runImagetoolsCreate(cmd.Context(), a, o, args)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.tags, "tag", "t", nil, "name of the new image")
	f.StringArrayVarP(&o.files, "file", "f", nil, "read sources, or descriptors in JSON, from a file")
	f.StringArrayVar(&o.annotations, "annotation", nil, "[index:]KEY=VALUE, or manifest-descriptor[PLATFORM]:KEY=VALUE")
	f.StringArrayVarP(&o.platforms, "platform", "p", nil, "keep only these platforms of the sources")
	f.BoolVar(&o.append, "append", false, "add to the image that has the name already")
	f.BoolVar(&o.dryRun, "dry-run", false, "show the manifest and push nothing")
	f.BoolVar(&o.preferIndex, "prefer-index", true, "make an index also of one single manifest")
	f.StringVar(&o.metadata, "metadata-file", "", "write name, digest and descriptor of the image to a file")
	f.String("builder", "", "accepted: there is one builder")
	f.String("progress", "auto", "accepted: there is nothing to show")
	return cmd
}

// A part is one manifest of the new image, and where it is to be had.
type part struct {
	from image.Descriptor
	repo *remote.Repository
}

func runImagetoolsCreate(ctx context.Context, a *app, o imagetoolsCreateOptions, sources []string) error {
	client := a.registry()
	tags, err := parseTags(o.tags)
	if err != nil {
		return err
	}
	if len(tags) == 0 && !o.dryRun {
		return fmt.Errorf("no name for the image: %w: give one with --tag", errs.ErrInvalid)
	}
	parts, err := gatherParts(ctx, client, o, tags, sources)
	if err != nil {
		return err
	}
	if parts, err = keepPlatforms(parts, o.platforms); err != nil {
		return err
	}
	d, raw, err := assemble(ctx, parts, o)
	if err != nil {
		return err
	}
	if o.dryRun {
		fmt.Fprintln(a.stdout, string(raw))
		return nil
	}
	for _, t := range tags {
		if err := pushParts(ctx, client.Repository(t), parts, d, raw); err != nil {
			return fmt.Errorf("%s: %w", t.Familiar(), err)
		}
		if err := client.Repository(t).Tag(ctx, t.Tag, d); err != nil {
			return err
		}
		fmt.Fprintf(a.stderr, "pushed %s@%s\n", t.String(), d.Digest)
	}
	return writeCreateMetadata(o.metadata, tags, d)
}

func parseTags(list []string) ([]ref.Ref, error) {
	var tags []ref.Ref
	for _, s := range list {
		r, err := ref.Parse(s)
		if err != nil {
			return nil, err
		}
		if r.Digest != "" {
			return nil, fmt.Errorf("--tag %s: %w: a name with a digest cannot be given", s, errs.ErrInvalid)
		}
		tags = append(tags, r)
	}
	return tags, nil
}

// gatherParts finds the manifests that the sources stand for, in their order.
func gatherParts(ctx context.Context, client *remote.Client, o imagetoolsCreateOptions, tags []ref.Ref, sources []string) ([]part, error) {
	for _, f := range o.files {
		raw, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		sources = append(sources, string(raw))
	}
	if o.append {
		if len(tags) == 0 {
			return nil, fmt.Errorf("--append: %w: name the image with --tag", errs.ErrInvalid)
		}
		sources = append([]string{tags[0].String()}, sources...)
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("no sources specified: %w", errs.ErrInvalid)
	}
	var parts []part
	for i, s := range sources {
		found, err := sourceParts(ctx, client, tags, strings.TrimSpace(s))
		if o.append && i == 0 && errors.Is(err, errs.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			if !slices.ContainsFunc(parts, func(o part) bool { return o.from.Digest == p.from.Digest }) {
				parts = append(parts, p)
			}
		}
	}
	return parts, nil
}

// sourceParts reads one source: a reference, or a descriptor in JSON.
func sourceParts(ctx context.Context, client *remote.Client, tags []ref.Ref, s string) ([]part, error) {
	var said image.Descriptor
	var r ref.Ref
	if strings.HasPrefix(s, "{") {
		if err := json.Unmarshal([]byte(s), &said); err != nil {
			return nil, fmt.Errorf("source: %w: %w", errs.ErrInvalid, err)
		}
		if len(tags) == 0 {
			return nil, fmt.Errorf("source %s: %w: a descriptor is looked for in the repository of --tag", said.Digest, errs.ErrInvalid)
		}
		r = tags[0].WithDigest(said.Digest)
	} else {
		var err error
		if r, err = ref.Parse(s); err != nil {
			return nil, err
		}
	}
	repo := client.Repository(r)
	d, err := repo.Resolve(ctx, r.Identifier())
	if err != nil {
		return nil, err
	}
	raw, err := content.ReadAll(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	if image.IsIndex(d.MediaType) {
		x, err := image.ParseIndex(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		var parts []part
		for _, m := range x.Manifests {
			parts = append(parts, part{m, repo})
		}
		return parts, nil
	}
	m, err := fetchManifest(ctx, repo, r, d)
	if err != nil {
		return nil, err
	}
	m.Descriptor.Annotations = said.Annotations
	if said.Platform != nil {
		m.Descriptor.Platform = said.Platform
	}
	return []part{{m.Descriptor, repo}}, nil
}

// keepPlatforms leaves out what is for other platforms, and attestations of it.
func keepPlatforms(parts []part, list []string) ([]part, error) {
	want, err := parsePlatforms(list)
	if err != nil || len(want) == 0 {
		return parts, err
	}
	match := platforms.Any(want...)
	kept := map[string]bool{}
	for _, p := range parts {
		if p.from.Platform != nil && match.Match(*p.from.Platform) {
			kept[p.from.Digest.String()] = true
		}
	}
	parts = slices.DeleteFunc(parts, func(p part) bool {
		return !kept[p.from.Digest.String()] && !kept[p.from.Annotations[annotationReferenceDigest]]
	})
	if len(parts) == 0 {
		return nil, fmt.Errorf("none of the sources is for %s: %w", strings.Join(list, ", "), errs.ErrNotFound)
	}
	return parts, nil
}

// assemble makes the new index; one single manifest may stay what it is.
func assemble(ctx context.Context, parts []part, o imagetoolsCreateOptions) (image.Descriptor, []byte, error) {
	if len(parts) == 1 && !o.preferIndex && len(o.annotations) == 0 {
		raw, err := content.ReadAll(ctx, parts[0].repo, parts[0].from)
		return parts[0].from, raw, err
	}
	x := image.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: image.MediaTypeIndex}
	docker := true
	for _, p := range parts {
		docker = docker && p.from.MediaType == image.DockerManifest
		x.Manifests = append(x.Manifests, p.from)
	}
	if docker && len(o.annotations) == 0 {
		x.MediaType = image.DockerManifestList
	}
	for _, s := range o.annotations {
		if err := annotateIndex(&x, s); err != nil {
			return image.Descriptor{}, nil, err
		}
	}
	raw, err := json.MarshalIndent(x, "", "  ")
	return image.NewDescriptor(x.MediaType, raw), raw, err
}

// annotateIndex adds one --annotation.
func annotateIndex(x *image.Index, s string) error {
	where, rest, ok := strings.Cut(s, ":")
	if !ok || strings.Contains(where, "=") {
		where, rest = "index", s
	}
	key, value, ok := strings.Cut(rest, "=")
	if !ok || key == "" {
		return fmt.Errorf("--annotation %q: %w: it should be KEY=VALUE", s, errs.ErrInvalid)
	}
	kind, platform, _ := strings.Cut(strings.TrimSuffix(where, "]"), "[")
	switch kind {
	case "index":
		if x.Annotations == nil {
			x.Annotations = map[string]string{}
		}
		x.Annotations[key] = value
	case "manifest-descriptor":
		return annotateParts(x, platform, key, value)
	default:
		return fmt.Errorf("--annotation %q: %w: only index: and manifest-descriptor: can be given here", s, errs.ErrUnsupported)
	}
	return nil
}

func annotateParts(x *image.Index, platform, key, value string) error {
	match := platforms.All
	if platform != "" {
		p, err := platforms.Parse(platform)
		if err != nil {
			return fmt.Errorf("--annotation: platform %q: %w", platform, err)
		}
		match = platforms.OnlyStrict(p)
	}
	for i, m := range x.Manifests {
		if m.Platform == nil || m.Platform.OS == "unknown" || !match.Match(*m.Platform) {
			continue
		}
		notes := map[string]string{key: value}
		for k, v := range m.Annotations {
			if k != key {
				notes[k] = v
			}
		}
		x.Manifests[i].Annotations = notes
	}
	return nil
}

// pushParts brings the manifests, with all they need, and the index to dst.
func pushParts(ctx context.Context, dst *remote.Repository, parts []part, d image.Descriptor, raw []byte) error {
	for _, p := range parts {
		o := content.CopyOptions{}
		if from := p.repo.Ref(); from.Domain == dst.Ref().Domain {
			o.MountFrom = func(image.Descriptor) []string { return []string{from.Path} }
		}
		if _, err := content.Copy(ctx, dst, p.repo, p.from, o); err != nil {
			return err
		}
	}
	return dst.Push(ctx, d, bytes.NewReader(raw))
}

func writeCreateMetadata(file string, tags []ref.Ref, d image.Descriptor) error {
	if file == "" {
		return nil
	}
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = t.String()
	}
	raw, err := json.MarshalIndent(map[string]any{
		"image.name": strings.Join(names, ","), "containerimage.digest": d.Digest, "containerimage.descriptor": d,
	}, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(file, raw, atomicfile.Options{})
}
