package cli

import (
	"context"
	"fmt"
	"io"
	"path"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/transfer"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/transfer/mirror"
)

const copyHelp = `Copy an image, with all its platforms and all that refers to it (signatures,
SBOMs, attestations), from one place to another:

  REF, docker://REF           at the registry that the reference names
  store:REF                   in the local store
  oci:DIR[:NAME]              in an OCI layout
  oci-archive:FILE[:NAME]     in a tar of one
  docker-archive:FILE[:NAME]  in a tar that docker before 25 can load, too
  ./PATH, /PATH               an OCI layout, or an archive
  -                           an archive from standard input, or to standard output

Between registries nothing is written to the disk. What is there already is not sent.
The digest of the copy is printed.`

type copyOptions struct {
	platforms []string
	allTags   bool
	tags      []string
	imageOnly bool
	progress  string
	quiet     bool
}

func newCopyCmd(a *app) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy [OPTIONS] SRC DST",
		Short: "Copy an image between registries, the store, layouts and archives",
		Long:  copyHelp,
		Args:  args(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCopy(cmd.Context(), a, o, args[0], args[1])
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.platforms, "platform", nil, "copy only these platforms of an image for several")
	f.BoolVarP(&o.allTags, "all-tags", "a", false, "copy all tags of a repository")
	f.StringArrayVar(&o.tags, "tags", nil, "copy the tags that match a pattern, such as '3.*'")
	f.BoolVar(&o.imageOnly, "image-only", false, "leave out what refers to the image")
	f.StringVar(&o.progress, "progress", "auto", `"auto", "tty", "plain", "json" or "none"`)
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print nothing but the digest")
	return cmd
}

// places opens locations for a command.
func (a *app) places() mirror.Places {
	return mirror.Places{
		Remote: a.registry(),
		Local: func() (mirror.Local, error) {
			e, err := a.engine()
			if err != nil {
				return nil, err
			}
			return e.Local(), nil
		},
		Stdin: a.stdin, Stdout: a.stdout,
	}
}

// transferDisplay shows blobs on their way on standard error.
func (a *app) transferDisplay(mode string, quiet bool) (*transfer.Display, error) {
	if quiet {
		mode = string(transfer.None)
	}
	m, err := transfer.ParseMode(mode, isTerminal(a.stderr))
	if err != nil {
		return nil, fmt.Errorf("--progress: %w", err)
	}
	return transfer.New(a.stderr, m, terminalWidth(a.stderr)), nil
}

// bars are for pull and push, which have docker's lines where there is no terminal:
// nil says that those are wanted.
func (a *app) bars(mode string, quiet bool) (*transfer.Display, error) {
	m, err := transfer.ParseMode(mode, isTerminal(a.stdout) && isTerminal(a.stderr))
	if err != nil {
		return nil, fmt.Errorf("--progress: %w", err)
	}
	if quiet && m != transfer.JSON {
		m = transfer.None
	}
	if m == transfer.Plain {
		return nil, nil
	}
	return transfer.New(a.stderr, m, terminalWidth(a.stderr)), nil
}

// showEvent makes what content tells into what a display shows.
func showEvent(d *transfer.Display) func(content.Event) {
	return func(e content.Event) {
		d.Event(transfer.Event{
			Blob: e.Blob.Digest.String(), Type: e.Blob.MediaType, State: e.State.String(),
			Bytes: e.Bytes, Size: e.Blob.Size, From: e.From,
		})
	}
}

func runCopy(ctx context.Context, a *app, o copyOptions, from, to string) error {
	src, err := mirror.ParseLocation(from)
	if err != nil {
		return err
	}
	dst, err := mirror.ParseLocation(to)
	if err != nil {
		return err
	}
	platforms, err := parsePlatforms(o.platforms)
	if err != nil {
		return err
	}
	display, err := a.transferDisplay(o.progress, o.quiet)
	if err != nil {
		return err
	}
	defer display.Close()
	out := a.stdout
	if dst.Path == "-" {
		if isTerminal(a.stdout) {
			return withHint(fmt.Errorf("copy to -: %w: standard output is a terminal", errs.ErrInvalid), "Redirect it, or name a file: oci-archive:FILE")
		}
		out = io.Discard
	}
	p := a.places()
	s, err := p.Source(ctx, src)
	if err != nil {
		return err
	}
	defer s.Close()
	names, err := copyNames(ctx, o, s, src, dst)
	if err != nil {
		return err
	}
	t, err := p.Target(ctx, dst)
	if err != nil {
		return err
	}
	defer t.Close()
	co := mirror.CopyOptions{Platforms: platforms, ImageOnly: o.imageOnly, Progress: showEvent(display)}
	if err := copyAll(ctx, t, s, names, co, func(n copyName, d string) { fmt.Fprintln(out, n.line(d)) }); err != nil {
		return err
	}
	return t.Commit()
}

// A copyName is an image's name at both ends; shown is set where there are several.
type copyName struct {
	from, to string
	shown    bool
}

func (n copyName) line(digest string) string {
	if n.shown {
		return n.to + " " + digest
	}
	return digest
}

// copyNames lists what is to be copied.
func copyNames(ctx context.Context, o copyOptions, s mirror.Source, src, dst mirror.Location) ([]copyName, error) {
	if !o.allTags && len(o.tags) == 0 {
		return []copyName{{from: src.Image(), to: dst.NameFor(src)}}, nil
	}
	if err := onlyRepository(src); err != nil {
		return nil, err
	}
	if err := onlyRepository(dst); err != nil {
		return nil, err
	}
	tags, err := s.Tags(ctx)
	if err != nil {
		return nil, err
	}
	var names []copyName
	for _, name := range tags {
		tag := tagOf(name)
		if src.Kind == mirror.Store && repositoryOf(name) != repositoryOf(src.Name) || mirror.DigestTag(tag) || tag == "" {
			continue
		}
		ok, err := matchesAny(o.tags, tag)
		if err != nil {
			return nil, err
		}
		if ok || o.allTags {
			names = append(names, copyName{from: name, to: dst.Tagged(src, tag), shown: true})
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: no tag to copy: %w", src, errs.ErrNotFound)
	}
	return names, nil
}

func onlyRepository(l mirror.Location) error {
	if r, err := ref.ParseName(l.Name); err == nil && l.Name != "" && (r.Tag != "" || r.Digest != "") {
		return fmt.Errorf("%s: %w: with --all-tags or --tags a repository is wanted, without tag or digest", l, errs.ErrInvalid)
	}
	return nil
}

// tagOf is the tag in a name that may be a reference or a tag; "" if it has none.
func tagOf(name string) string {
	r, err := ref.ParseName(name)
	switch {
	case err == nil && r.Digest != "":
		return ""
	case err == nil && r.Tag != "":
		return r.Tag
	}
	return name
}

func repositoryOf(name string) string {
	r, err := ref.ParseName(name)
	if err != nil {
		return name
	}
	return r.Name()
}

func matchesAny(patterns []string, tag string) (bool, error) {
	for _, p := range patterns {
		ok, err := path.Match(p, tag)
		if err != nil {
			return false, fmt.Errorf("--tags %q: %w", p, errs.ErrInvalid)
		}
		if ok {
			return true, nil
		}
	}
	return false, nil
}

// copyAll copies the images, a few at once, and tells of each in order.
func copyAll(ctx context.Context, t mirror.Target, s mirror.Source, names []copyName, o mirror.CopyOptions, tell func(copyName, string)) error {
	digests := make([]string, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(3)
	for i, n := range names {
		g.Go(func() error {
			d, err := mirror.Copy(gctx, t, n.to, s, n.from, o)
			if err != nil {
				return err
			}
			digests[i] = d.Digest.String()
			return nil
		})
	}
	err := g.Wait()
	for i, d := range digests {
		if d != "" {
			tell(names[i], d)
		}
	}
	return err
}
