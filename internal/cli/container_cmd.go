package cli

import "github.com/spf13/cobra"

// containerVerbs are the commands that are there under container and by themselves.
func containerVerbs(a *app) []*cobra.Command {
	return []*cobra.Command{
		newCreateCmd(a), newStartCmd(a), newStopCmd(a), newRestartCmd(a), newKillCmd(a), newPauseCmd(a), newUnpauseCmd(a),
		newWaitCmd(a), newRmCmd(a), newRenameCmd(a), newLogsCmd(a), newAttachCmd(a), newPortCmd(a), newTopCmd(a), newStatsCmd(a),
		newDiffCmd(a), newCpCmd(a), newExportCmd(a), newCommitCmd(a), newUpdateCmd(a),
	}
}

// addContainerVerbs adds the verbs that docker has at the top, too.
func addContainerVerbs(a *app, root *cobra.Command) {
	addGroup(root, groupOther, containerVerbs(a)...)
	addGroup(root, groupOther, newEventsCmd(a))
	root.AddCommand(newMonitorCmd(a))
}

// newContainerCmd is `mica container`.
func newContainerCmd(a *app) *cobra.Command {
	cmd := group("container", "Manage containers",
		newRunCmd(a), newExecCmd(a), newPsCmd(a, "ls", "ps", "list"), newContainerInspectCmd(a), newContainerPruneCmd(a), newSystemdCmd(a))
	cmd.AddCommand(containerVerbs(a)...)
	return cmd
}
