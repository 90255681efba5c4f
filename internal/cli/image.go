package cli

import "github.com/spf13/cobra"

// newImageCmd is `mica image`.
func newImageCmd(a *app) *cobra.Command {
	return group("image", "Manage images",
		newBuildCmd(a),
	)
}

// addImageTwins adds the image commands that docker also has at the top.
func addImageTwins(a *app, root *cobra.Command) {
	addGroup(root, groupOther,
		newVersionCmd(a),
	)
}
