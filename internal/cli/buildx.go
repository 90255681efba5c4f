package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/containerd/platforms"
	"github.com/spf13/cobra"

	"github.com/mica-build/mica/build/platform"
	"github.com/mica-build/mica/internal/ui/format"
)

// builderName is the name of the one builder there is, which is this program.
const builderName = "default"

// A builderRow is one line of `mica buildx ls`.
type builderRow struct {
	Name           string `header:"NAME/NODE"`
	DriverEndpoint string `header:"DRIVER/ENDPOINT"`
	Status         string
	Buildkit       string `header:"BUILDKIT"`
	Platforms      string
	Current        string
	LastActivity   string
	Error          string
}

const buildersTable = "{{.Name}}\t{{.DriverEndpoint}}\t{{.Status}}\t{{.Buildkit}}\t{{.Platforms}}"

func newBuildxLsCmd(a *app) *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use:   "ls [OPTIONS]",
		Short: "List builders: there is one, mica itself",
		Args:  args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return format.Rows(a.stdout, spec, buildersTable, builderRows(spec))
		},
	}
	cmd.Flags().StringVar(&spec, "format", "", formatHelp)
	cmd.Flags().Bool("no-trunc", false, "accepted: platforms are never cut")
	return cmd
}

// builderRows has the builder and, in a table, its node on a line of its own.
func builderRows(spec string) []builderRow {
	row := builderRow{
		Name: builderName, DriverEndpoint: "mica", Status: "running", Buildkit: version,
		Platforms: builderPlatforms(), Current: "true",
	}
	if spec != "" && !strings.HasPrefix(spec, "table") {
		return []builderRow{row}
	}
	node := row
	node.Name, node.DriverEndpoint = ` \_ `+builderName, ` \_ `+builderName
	return []builderRow{{Name: builderName + "*", DriverEndpoint: "mica", Current: "true"}, node}
}

func newBuildxInspectCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect [OPTIONS] [NAME]",
		Short: "Show the builder: there is one, mica itself",
		Args:  args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := knownBuilder(strings.Join(args, "")); err != nil {
				return err
			}
			return printBuilder(a.stdout)
		},
	}
	cmd.Flags().Bool("bootstrap", false, "accepted: there is nothing to start")
	return cmd
}

func newBuildxUseCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "use [OPTIONS] NAME",
		Short: "Choose a builder: there is one, mica itself",
		Args:  args(1, 1),
		RunE:  func(_ *cobra.Command, args []string) error { return knownBuilder(args[0]) },
	}
	cmd.Flags().Bool("default", false, "accepted: there is no other")
	cmd.Flags().Bool("global", false, "accepted: there is no other")
	return cmd
}

// knownBuilder refuses the names of builders that are not there.
func knownBuilder(name string) error {
	if name == "" || name == builderName {
		return nil
	}
	return withHint(errors.New("no builder "+fmt.Sprintf("%q", name)+" found"),
		"mica itself is the only builder. It is called "+builderName+".")
}

func printBuilder(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	fmt.Fprintf(tw, "Name:\t%s\nDriver:\tmica\n\nNodes:\n", builderName)
	fmt.Fprintf(tw, "Name:\t%s\nEndpoint:\t%s\nStatus:\trunning\nBuildKit version:\t%s\nPlatforms:\t%s\n", builderName, builderName, version, builderPlatforms())
	return tw.Flush()
}

// builderPlatforms lists the platforms whose steps run on this machine.
func builderPlatforms() string {
	names := []string{platforms.FormatAll(platform.Default())}
	for _, p := range platform.Supported() {
		names = append(names, platforms.FormatAll(p))
	}
	return strings.Join(names, ", ")
}
