package cli

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/internal/ui/format"
)

type imagesOptions struct {
	all, digests, noTrunc, quiet, tree bool
	format                             string
	filter                             []string
}

// The tables of `mica images`.
const (
	imagesTable  = "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
	digestsTable = "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
)

// none stands for a repository, tag or digest that is not there.
const none = "<none>"

func newImagesCmd(a *app, use string) *cobra.Command {
	var o imagesOptions
	cmd := &cobra.Command{
		Use:   use + " [OPTIONS] [REPOSITORY[:TAG]]",
		Short: "List images",
		Args:  args(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.filter = append(o.filter, "reference="+args[0])
			}
			return runImages(cmd.Context(), a, o)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "show all images (mica keeps no intermediate ones that it would hide)")
	f.BoolVar(&o.digests, "digests", false, "show digests")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "do not cut ids")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only show image ids")
	f.BoolVar(&o.tree, "tree", false, "refused: docker's experimental view of platforms")
	must(f.MarkHidden("tree"))
	f.StringVar(&o.format, "format", "", formatHelp)
	f.StringArrayVarP(&o.filter, "filter", "f", nil, "only images for which it holds: dangling, label, before, since, reference, until")
	return cmd
}

// formatHelp explains --format of all commands that list things.
const formatHelp = `"table", "table TEMPLATE", "json", or a Go template for each line`

func runImages(ctx context.Context, a *app, o imagesOptions) error {
	if o.tree {
		return withHint(errors.New("--tree: mica has only the table of names"), "`inspect --platform` shows what an image has for a platform.")
	}
	f, err := imageFilter(o.filter, time.Now())
	if err != nil {
		return err
	}
	spec, err := o.spec(a)
	if err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	list, err := e.Images(ctx, f)
	if err != nil {
		return err
	}
	return format.Rows(a.stdout, spec, o.table(), o.rows(list, spec, time.Now()))
}

// spec is the format to print with: the flag's, the user's, or the table.
func (o imagesOptions) spec(a *app) (string, error) {
	switch {
	case o.quiet && (o.format == "" || o.format == "table"):
		return "{{.ID}}", nil
	case o.format != "":
		return o.format, nil
	}
	c, err := a.configFormats()
	return c.Images, err
}

func (o imagesOptions) table() string {
	if o.digests {
		return digestsTable
	}
	return imagesTable
}

// imageFilter reads the filters of commands that choose images.
func imageFilter(list []string, now time.Time) (engine.Filter, error) {
	var f engine.Filter
	fs, err := parseFilters(list, "dangling", "label", "before", "since", "reference", "until")
	if err != nil {
		return f, err
	}
	f.Labels, f.Before, f.Since, f.References = fs["label"], fs["before"], fs["since"], fs["reference"]
	if f.Dangling, err = fs.boolean("dangling"); err != nil {
		return f, err
	}
	f.Until, err = fs.time("until", now)
	return f, err
}

// An imageRow is one line of `mica images`.
type imageRow struct {
	Containers   string
	CreatedAt    string
	CreatedSince string `header:"CREATED"`
	Digest       string
	ID           string `header:"IMAGE ID"`
	Repository   string
	SharedSize   string
	Size         string
	Tag          string
	UniqueSize   string
}

// rows has a line for each name of each image, and for each digest where
// digests are asked for: with -q too, so that lines can be counted.
func (o imagesOptions) rows(list []engine.Image, spec string, now time.Time) []imageRow {
	digests := o.digests || strings.Contains(spec, ".Digest")
	var rows []imageRow
	for _, m := range list {
		rows = append(rows, nameRows(m, o.row(m, now), digests)...)
	}
	return rows
}

func (o imagesOptions) row(m engine.Image, now time.Time) imageRow {
	r := imageRow{
		Containers: "N/A", SharedSize: "N/A", UniqueSize: "N/A",
		Repository: none, Tag: none, Digest: none,
		CreatedAt: format.Time(m.Created), CreatedSince: format.Since(now, m.Created),
		ID: m.ID.String(), Size: format.Size(m.Size),
	}
	if m.Created.IsZero() {
		r.CreatedAt = "N/A"
	}
	if !o.noTrunc {
		r.ID = format.ShortID(r.ID)
	}
	return r
}

// nameRows repeats the row for each name: a tag of a repository that has
// digests stands beside them, a digest alone on a line of its own.
func nameRows(m engine.Image, base imageRow, digests bool) []imageRow {
	if m.Dangling() {
		return []imageRow{base}
	}
	byRepo := map[string][]string{}
	for _, d := range m.Digests {
		repo, digest, _ := strings.Cut(engine.Familiar(d), "@")
		byRepo[repo] = append(byRepo[repo], digest)
	}
	var rows []imageRow
	tagged := map[string]bool{}
	for _, n := range m.Names {
		r := base
		n = engine.Familiar(n)
		i := strings.LastIndexByte(n, ':')
		r.Repository, r.Tag = n[:i], n[i+1:]
		tagged[r.Repository] = true
		rows = append(rows, withDigests(r, byRepo[r.Repository], digests)...)
	}
	for _, d := range m.Digests {
		repo, _, _ := strings.Cut(engine.Familiar(d), "@")
		if tagged[repo] {
			continue
		}
		tagged[repo] = true
		r := base
		r.Repository = repo
		rows = append(rows, withDigests(r, byRepo[repo], digests)...)
	}
	return rows
}

func withDigests(r imageRow, list []string, show bool) []imageRow {
	if !show || len(list) == 0 {
		return []imageRow{r}
	}
	var rows []imageRow
	for _, d := range list {
		r.Digest = d
		rows = append(rows, r)
	}
	return rows
}
