package cli

import "github.com/spf13/cobra"

// newImageCmd is `mica image`.
func newImageCmd(a *app) *cobra.Command {
	ls := newImagesCmd(a, "ls")
	ls.Aliases = []string{"list"}
	return group("image", "Manage images",
		newBuildCmd(a),
		ls,
		newImageInspectCmd(a),
		newHistoryCmd(a),
		newTagCmd(a),
		newRmiCmd(a, "rm", "rmi", "remove"),
		newImagePruneCmd(a),
		newSaveCmd(a),
		newLoadCmd(a),
		newImportCmd(a),
		newPullCmd(a),
		newPushCmd(a),
	)
}

// addImageTwins adds the image commands that docker also has at the top.
func addImageTwins(a *app, root *cobra.Command) {
	addGroup(root, groupCommon, newPullCmd(a), newPushCmd(a), newImagesCmd(a, "images"))
	addGroup(root, groupOther,
		newInspectCmd(a),
		newHistoryCmd(a),
		newTagCmd(a),
		newRmiCmd(a, "rmi"),
		newSaveCmd(a),
		newLoadCmd(a),
		newImportCmd(a),
	)
}
