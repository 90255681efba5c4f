package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/ui/format"
)

type historyOptions struct {
	format, platform      string
	human, noTrunc, quiet bool
}

func newHistoryCmd(a *app) *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:               "history [OPTIONS] IMAGE",
		Short:             "Show how an image was made",
		ValidArgsFunction: a.completeImages,
		Args:              args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runHistory(cmd.Context(), a, o, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", formatHelp)
	f.BoolVarP(&o.human, "human", "H", true, "sizes and times for people")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "do not cut ids and commands")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only show image ids")
	f.StringVar(&o.platform, "platform", "", "the platform to show of an image for several")
	return cmd
}

func runHistory(ctx context.Context, a *app, o historyOptions, name string) error {
	var platform *image.Platform
	if o.platform != "" {
		p, err := parsePlatforms([]string{o.platform})
		if err != nil {
			return err
		}
		platform = &p[0]
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	steps, err := e.History(ctx, name, platform)
	if err != nil {
		return err
	}
	now := time.Now()
	var rows []historyRow
	for _, s := range steps {
		rows = append(rows, o.row(s, now))
	}
	table := "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
	if !o.human {
		table = "{{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
	}
	spec := o.format
	if o.quiet {
		spec = "{{.ID}}"
	}
	return format.Rows(a.stdout, spec, table, rows)
}

// A historyRow is one line of `mica history`.
type historyRow struct {
	Comment      string
	CreatedAt    string
	CreatedBy    string
	CreatedSince string `header:"CREATED"`
	ID           string `header:"IMAGE"`
	Size         string
}

func (o historyOptions) row(s engine.Step, now time.Time) historyRow {
	r := historyRow{
		ID: "<missing>", Comment: s.Comment, CreatedAt: "N/A",
		CreatedBy: strings.ReplaceAll(s.CreatedBy, "\t", " "), Size: format.Size(s.Size),
	}
	if s.ID != "" {
		r.ID = s.ID
	}
	if !s.Created.IsZero() {
		r.CreatedAt = s.Created.Local().Format(time.RFC3339)
	}
	r.CreatedSince = format.Since(now, s.Created)
	if !o.human {
		r.CreatedSince, r.Size = r.CreatedAt, strconv.FormatInt(s.Size, 10)
	}
	if !o.noTrunc {
		r.CreatedBy = format.Ellipsis(r.CreatedBy, 45)
		if s.ID != "" {
			r.ID = format.ShortID(r.ID)
		}
	}
	return r
}
