package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// version is stamped by the linker.
var version = "unknown"

func versionLine() string { return "mica version " + version }

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{Use: "version [OPTIONS]", Short: "Show the version", Args: args(0, 0), RunE: func(*cobra.Command, []string) error {
		fmt.Fprintln(a.stdout, versionLine())
		return nil
	}}
}
