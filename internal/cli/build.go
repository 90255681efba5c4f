package cli

import "github.com/spf13/cobra"

// newBuildCmd is `mica build`.
func newBuildCmd(a *app) *cobra.Command {
	return &cobra.Command{Use: "build [OPTIONS] PATH | URL | -", Short: "Build an image from a Dockerfile", Args: args(1, 1)}
}
