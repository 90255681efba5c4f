package cli

import "github.com/spf13/cobra"

// newSystemCmd is `mica system`.
func newSystemCmd(a *app) *cobra.Command {
	return group("system", "Manage the store", newDfCmd(a), newInfoCmd(a), newSystemPruneCmd(a), newCheckCmd(a))
}
