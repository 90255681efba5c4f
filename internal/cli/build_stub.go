//go:build !engine

package cli

import "github.com/spf13/cobra"

func newBuildCmd(a *app) *cobra.Command {
	return &cobra.Command{Use: "build [OPTIONS] PATH | URL | -", Short: "Build an image from a Dockerfile", Args: args(1, 1)}
}

func newRunCmd(a *app) *cobra.Command {
	return &cobra.Command{Use: "run [OPTIONS] IMAGE [COMMAND] [ARG...]", Short: "Run a command in a new container", Args: args(1, -1)}
}
