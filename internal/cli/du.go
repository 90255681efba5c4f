package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/internal/ui/format"
)

type duOptions struct {
	filter  []string
	format  string
	verbose bool
}

func newDuCmd(a *app) *cobra.Command {
	var o duOptions
	cmd := &cobra.Command{
		Use:   "du [OPTIONS]",
		Short: "Show what the build cache holds",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDu(cmd.Context(), a, o)
		},
	}
	cmd.Flags().StringArrayVar(&o.filter, "filter", nil, "only entries for which it holds: "+strings.Join(cacheFilterKeys, ", "))
	cmd.Flags().StringVar(&o.format, "format", "", `"table", "pretty", "json", or a Go template for each entry`)
	cmd.Flags().BoolVar(&o.verbose, "verbose", false, `the same as --format=pretty`)
	return cmd
}

func runDu(ctx context.Context, a *app, o duOptions) error {
	now := time.Now()
	f, err := parseCacheFilter(o.filter, now)
	if err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	all, err := e.BuildCache(ctx)
	if err != nil {
		return err
	}
	var list []engine.CacheEntry
	for _, c := range all {
		if f.holds(c) {
			list = append(list, c)
		}
	}
	if o.verbose && o.format == "" {
		o.format = "pretty"
	}
	switch o.format {
	case "pretty":
		return printCacheVerbose(a.stdout, list, now, true)
	case "", "table":
		if err := format.Rows(a.stdout, "", duTable, cacheRows(list, now)); err != nil {
			return err
		}
		return printCacheTotals(a.stdout, list)
	}
	return format.Rows(a.stdout, o.format, duTable, cacheRows(list, now))
}

const duTable = "{{.ID}}{{if eq .Mutable \"true\"}}*{{end}}\t{{.Reclaimable}}\t{{.Size}}{{if eq .Shared \"true\"}}*{{end}}\t{{.LastUsedSince}}"

// A cacheRow is one line of `mica builder du`.
type cacheRow struct {
	CreatedAt     string
	CreatedSince  string `header:"CREATED"`
	Description   string
	ID            string
	InUse         string
	LastUsedAt    string
	LastUsedSince string `header:"LAST ACCESSED"`
	Mutable       string
	Parents       string
	Reclaimable   string
	Shared        string
	Size          string
	Type          string
	UsageCount    string
}

func cacheRows(list []engine.CacheEntry, now time.Time) []cacheRow {
	rows := make([]cacheRow, 0, len(list))
	for _, c := range list {
		rows = append(rows, cacheRow{
			ID: c.ID, Type: c.Type, Description: c.Description, Parents: strings.Join(c.Parents, ", "),
			CreatedAt: format.Time(c.Created), CreatedSince: format.Since(now, c.Created),
			LastUsedAt: format.Time(c.LastUsed), LastUsedSince: format.Since(now, c.LastUsed),
			Mutable: strconv.FormatBool(c.Mutable), InUse: strconv.FormatBool(c.InUse),
			Reclaimable: strconv.FormatBool(!c.InUse), Shared: strconv.FormatBool(c.Shared),
			Size: format.Size(c.Size), UsageCount: strconv.Itoa(c.UsageCount),
		})
	}
	return rows
}

// printCacheVerbose prints a paragraph for each entry.
func printCacheVerbose(w io.Writer, list []engine.CacheEntry, now time.Time, totals bool) error {
	tw := tabwriter.NewWriter(w, 1, 8, 1, '\t', 0)
	for _, c := range cacheRows(list, now) {
		fields := [][2]string{
			{"ID", c.ID},
			{"Parents", c.Parents},
			{"Created at", c.CreatedAt},
			{"Mutable", c.Mutable},
			{"Reclaimable", c.Reclaimable},
			{"Shared", c.Shared},
			{"Size", c.Size},
			{"Description", c.Description},
			{"Usage count", c.UsageCount},
			{"Last used", c.LastUsedSince},
			{"Type", c.Type},
		}
		for _, f := range fields {
			if f[1] != "" {
				fmt.Fprintf(tw, "%s:\t%s\n", f[0], f[1])
			}
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil || !totals {
		return err
	}
	return printCacheTotals(w, list)
}

// printCacheTotals sums the entries.
func printCacheTotals(w io.Writer, list []engine.CacheEntry) error {
	var shared, private, reclaimable int64
	for _, c := range list {
		if c.Shared {
			shared += c.Size
		} else {
			private += c.Size
		}
		if !c.InUse {
			reclaimable += c.Size
		}
	}
	tw := tabwriter.NewWriter(w, 1, 8, 1, '\t', 0)
	if shared > 0 {
		fmt.Fprintf(tw, "Shared:\t%s\n", format.Size(shared))
		fmt.Fprintf(tw, "Private:\t%s\n", format.Size(private))
	}
	fmt.Fprintf(tw, "Reclaimable:\t%s\n", format.Size(reclaimable))
	fmt.Fprintf(tw, "Total:\t%s\n", format.Size(shared+private))
	return tw.Flush()
}
