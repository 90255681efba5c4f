package cli

import "github.com/spf13/cobra"

func newRegistryCmd(a *app) *cobra.Command {
	return group("registry", "Serve images to others", newRegistryServeCmd(a))
}
