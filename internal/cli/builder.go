package cli

import "github.com/spf13/cobra"

// newBuilderCmd is `mica builder`.
func newBuilderCmd(a *app) *cobra.Command {
	return group("builder", "Manage builds", newBuildCmd(a), newDuCmd(a), newBuilderPruneCmd(a))
}

// newBuildxCmd is `mica buildx`, the same under the name of docker's plugin.
func newBuildxCmd(a *app) *cobra.Command {
	return group("buildx", "Docker Buildx's commands", newBuildCmd(a), newDuCmd(a), newBuilderPruneCmd(a), newBuildxVersionCmd(a),
		newBuildxLsCmd(a), newBuildxInspectCmd(a), newBuildxUseCmd(), newImagetoolsCmd(a))
}
