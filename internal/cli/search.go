package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
)

// A searchRow is a line of `mica search`, with docker's names.
type searchRow struct {
	Name        string
	Description string
	StarCount   int    `header:"STARS"`
	IsOfficial  string `header:"OFFICIAL"`
	IsAutomated string `header:"AUTOMATED"`
}

const searchTable = "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"

type searchOptions struct {
	filters []string
	limit   int
	format  string
	noTrunc bool
}

func newSearchCmd(a *app) *cobra.Command {
	var o searchOptions
	cmd := &cobra.Command{
		Use:   "search [OPTIONS] [HOST/]TERM",
		Short: "Search a registry for images: Docker Hub, or the one a term begins with",
		Args:  args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.limit < 1 || o.limit > 100 {
				return fmt.Errorf("--limit %d: %w: it is between 1 and 100", o.limit, errs.ErrInvalid)
			}
			host, term := searchTerm(args[0])
			keep, err := searchFilter(o.filters)
			if err != nil {
				return err
			}
			hits, err := a.registry().Search(cmd.Context(), host, term, o.limit)
			if err != nil {
				return err
			}
			return format.Rows(a.stdout, o.format, searchTable, searchRows(hits, keep, o.noTrunc))
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&o.filters, "filter", "f", nil, "is-official=true, stars=N")
	f.IntVar(&o.limit, "limit", 25, "the most hits, at most 100")
	f.StringVar(&o.format, "format", "", formatHelp)
	f.BoolVar(&o.noTrunc, "no-trunc", false, "show whole descriptions")
	return cmd
}

// searchTerm parts a term from the registry before it.
func searchTerm(s string) (host, term string) {
	first, rest, ok := strings.Cut(s, "/")
	if ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first, rest
	}
	return ref.DefaultDomain, s
}

// searchFilter says which hits are wanted.
func searchFilter(list []string) (func(remote.Hit) bool, error) {
	f, err := parseFilters(list, "is-official", "is-automated", "stars")
	if err != nil {
		return nil, err
	}
	official, err := f.boolean("is-official")
	if err != nil {
		return nil, err
	}
	if _, err := f.boolean("is-automated"); err != nil {
		return nil, err
	}
	stars := 0
	for _, s := range f["stars"] {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, fmt.Errorf("invalid filter 'stars=%s': it is a number", s)
		}
		stars = max(stars, n)
	}
	return func(h remote.Hit) bool {
		return h.Stars >= stars && (official == nil || h.Official == *official)
	}, nil
}

func searchRows(hits []remote.Hit, keep func(remote.Hit) bool, noTrunc bool) []searchRow {
	rows := []searchRow{}
	for _, h := range hits {
		if !keep(h) {
			continue
		}
		r := searchRow{Name: h.Name, StarCount: h.Stars, Description: strings.Join(strings.Fields(h.Description), " ")}
		if !noTrunc {
			r.Description = format.Ellipsis(r.Description, 45)
		}
		if h.Official {
			r.IsOfficial = "[OK]"
		}
		rows = append(rows, r)
	}
	return rows
}
