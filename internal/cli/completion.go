package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
)

func newCompletionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that makes a shell complete mica's commands",
		Long: `Print a script that makes a shell complete mica's commands.

  bash:        mica completion bash > /etc/bash_completion.d/mica
  zsh:         mica completion zsh > "${fpath[1]}/_mica"
  fish:        mica completion fish > ~/.config/fish/completions/mica.fish
  powershell:  mica completion powershell | Out-String | Invoke-Expression`,
		Args:      args(1, 1),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch root := cmd.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.stdout)
			}
			return fmt.Errorf("completion %s: there is bash, zsh, fish and powershell", args[0])
		},
	}
}

// completeImages offers the names of images.
func (a *app) completeImages(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	s, err := a.store()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	names, err := s.Names(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var list []string
	for _, n := range names {
		if n.Ref != "" {
			list = append(list, engine.Familiar(n.Ref))
		}
	}
	return list, cobra.ShellCompDirectiveNoFileComp
}
