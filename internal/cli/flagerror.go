package cli

import (
	"errors"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// similarFlag names the flag of cmd that the unknown one in err was meant to be.
func similarFlag(cmd *cobra.Command, err error) string {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) || len(unknown.GetSpecifiedName()) < 2 {
		return ""
	}
	best, distance := "", 3
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := levenshtein.Distance(unknown.GetSpecifiedName(), f.Name, nil); !f.Hidden && d < distance {
			best, distance = "--"+f.Name, d
		}
	})
	return best
}
