package cli

import (
	"errors"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxDistance is how many letters may be wrong in what is still a typo.
const maxDistance = 2

// similarFlag names the flag of cmd that the unknown one in err was meant to be.
func similarFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return ""
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if s := closest(unknown.GetSpecifiedName(), names); s != "" {
		return "--" + s
	}
	return ""
}

// similarCommand names the command below cmd that typed was meant to be.
func similarCommand(cmd *cobra.Command, typed string) string {
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(append(names, c.Name()), c.Aliases...)
		}
	}
	if s := closest(typed, names); s != "" {
		return cmd.CommandPath() + " " + s
	}
	return ""
}

// closest is the name that differs least from typed, "" if all differ much.
func closest(typed string, names []string) string {
	best, distance := "", maxDistance+1
	for _, n := range names {
		if d := levenshtein.Distance(typed, n, nil); d < distance && d < len(n) {
			best, distance = n, d
		}
	}
	return best
}
