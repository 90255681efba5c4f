package cli

import (
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/files"
)

func newRegistryCmd(a *app) *cobra.Command {
	return group("registry", "Serve images to others",
		newRegistryServeCmd(a), newRegistryGCCmd(a), newRegistryScrubCmd(a), newRegistryLsCmd(a), newRegistryDuCmd(a),
		newRegistryUsersCmd(a), newRegistryCheckConfigCmd(a), newRegistryRetentionCmd(a))
}

// registryDir is where the registry is, for all of its commands.
type registryDir struct{ dir string }

func (d *registryDir) flag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.dir, "dir", "", `directory of the registry (default "registry" in the store)`)
	cmd.Flags().StringVar(&d.dir, "root", "", "the same as --dir")
}

func (d *registryDir) path(a *app) string {
	if d.dir == "" {
		return filepath.Join(a.root, "registry")
	}
	return d.dir
}

// open opens a registry that is there, beside the server that may be at it.
func (d *registryDir) open(a *app) (*storage.Storage, error) {
	s, err := files.Open(d.path(a), files.Options{Durable: a.durable, Existing: true})
	if errors.Is(err, errs.ErrNotFound) {
		err = withHint(err, "Choose the directory with --dir, or make it with: mica registry serve")
	}
	return s, err
}
