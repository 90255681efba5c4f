package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/sandbox/rootless"
)

// readers are the commands that only read small files of the caller's, or talk to
// registries: they work without a namespace. Any other may have to make or remove
// files of other users.
var readers = []string{
	"mica", "docker", "help", "version", "completion", "doctor", "info", "login", "logout",
	"lint", "rules", "images", "ls", "tag", "inspect", "history",
	"tags", "digest", "referrers", "search", "annotate", "imagetools",
	cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd,
}

// enterNamespace runs the program again as root of a user namespace if the caller
// has not the privileges that cmd needs. It ends the program then.
func (a *app) enterNamespace(cmd *cobra.Command) error {
	if !rootless.Needed() || slices.Contains(readers, cmd.Name()) {
		return nil
	}
	o := rootless.Options{Warn: func(s string) { a.warn("%s", s) }}
	if k := storeUsers(a.root); k == rootless.Single || k == rootless.Ranges {
		o.Kind = k
	}
	code, err := rootless.Run(cmd.Context(), o)
	if r := (*rootless.Refusal)(nil); errors.As(err, &r) {
		return withCode(exitNotRun, withHint(err, r.Advice))
	}
	if err != nil {
		return withCode(exitNotRun, err)
	}
	return withCode(code, nil)
}

// usersFile in a store says which users its layers were made with: a
// rootless.Kind. A store of root's has none.
const usersFile = "users"

func storeUsers(root string) rootless.Kind {
	b, err := os.ReadFile(filepath.Join(root, usersFile))
	if err != nil {
		return ""
	}
	return rootless.Kind(strings.TrimSpace(string(b)))
}

// checkUsers refuses a store whose layers were made with other users than this
// process knows: their files would belong to the wrong ones.
func (a *app) checkUsers() error {
	have, own := storeUsers(a.root), rootless.Inside()
	switch {
	case rootless.Needed() || have == own:
		return nil
	case have == "":
		return os.WriteFile(filepath.Join(a.root, usersFile), []byte(own+"\n"), 0o600)
	case own == "":
		return withHint(fmt.Errorf("the store %s is that of a user without privileges (%s)", a.root, have),
			"Run mica as that user, or choose another store with --root or MICA_ROOT.")
	}
	return withHint(fmt.Errorf("the store %s was made with other users (%s) than there are now (%s)", a.root, have, own),
		"Choose another store with --root or MICA_ROOT, or remove this one.")
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
