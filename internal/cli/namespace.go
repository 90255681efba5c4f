package cli

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/sandbox/rootless"
)

// readers are the commands that only read small files of the caller's, or talk to
// registries: they work without a namespace. Any other may have to make or remove
// files of other users.
var readers = []string{
	"mica", "docker", "help", "version", "completion", "doctor", "info", "login", "logout",
	"images", "ls", "tag", "inspect", "history",
	cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd,
}

// enterNamespace runs the program again as root of a user namespace if the caller
// has not the privileges that cmd needs. It ends the program then.
func (a *app) enterNamespace(cmd *cobra.Command) error {
	if !rootless.Needed() || slices.Contains(readers, cmd.Name()) {
		return nil
	}
	code, err := rootless.Run(cmd.Context(), rootless.Options{Warn: func(s string) { a.warn("%s", s) }})
	if r := (*rootless.Refusal)(nil); errors.As(err, &r) {
		return withCode(exitNotRun, withHint(err, r.Advice))
	}
	if err != nil {
		return withCode(exitNotRun, err)
	}
	return withCode(code, nil)
}
