package cli

import "github.com/spf13/cobra"

func newTagCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "tag SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
		Short:             "Give an image one more name",
		ValidArgsFunction: a.completeImages,
		Args:              args(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := a.engine()
			if err != nil {
				return err
			}
			return e.Tag(cmd.Context(), args[0], args[1])
		},
	}
}
