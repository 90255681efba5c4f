package cli

import "github.com/spf13/cobra"

// newRunCmd is `mica run`.
func newRunCmd(a *app) *cobra.Command {
	return &cobra.Command{Use: "run [OPTIONS] IMAGE [COMMAND] [ARG...]", Short: "Run a command in a new container", Args: args(1, -1)}
}
