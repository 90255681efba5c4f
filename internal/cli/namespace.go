package cli

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/sandbox"
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

// singleUser says what a user namespace with one user does not allow.
const singleUser = "This user has no further users of its own, so that chown, and programs that change users, fail in a\n" +
	"step with \"Invalid argument\". As root: apt-get install uidmap (or shadow-utils), then\n" +
	"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER. See mica doctor."

// hintSingleUser adds to a failed step what may be the reason without root.
func hintSingleUser(err error) error {
	var x *sandbox.ExitError
	if rootless.Inside() != rootless.Single || !errors.As(err, &x) {
		return err
	}
	return withHint(err, singleUser)
}
