package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/lint"
	"github.com/mica-build/mica/lint/pages"
)

func newLintRulesCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "rules [CODE...]",
		Short: "List the rules, or explain some",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listLintRules(a)
			}
			return explainLintRules(a, args)
		},
	}
}

func listLintRules(a *app) error {
	all := lintRules()
	slices.SortFunc(all, func(x, y lint.Rule) int { return cmp.Compare(x.Code, y.Code) })
	w := tabwriter.NewWriter(a.stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "CODE\tLEVEL\tABOUT")
	for _, r := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Code, r.Level, r.Title)
	}
	return w.Flush()
}

func explainLintRules(a *app, codes []string) error {
	all := lintRules()
	for i, code := range codes {
		n := slices.IndexFunc(all, func(r lint.Rule) bool { return strings.EqualFold(r.Code, code) })
		if n < 0 {
			return withHint(fmt.Errorf("rule %s: %w", code, errs.ErrNotFound), "mica lint rules lists them.")
		}
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		fmt.Fprintf(a.stdout, "%s (%s)\n\n%s", all[n].Code, all[n].Level, pages.Page(all[n].Code))
	}
	return nil
}
