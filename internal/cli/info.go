package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/internal/ui/format"
)

func newInfoCmd(a *app) *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use:   "info [OPTIONS]",
		Short: "Show facts about mica, its store and this machine",
		Args:  args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runInfo(cmd.Context(), a, spec)
		},
	}
	cmd.Flags().StringVarP(&spec, "format", "f", "", inspectFormatHelp)
	return cmd
}

func runInfo(ctx context.Context, a *app, spec string) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	i, err := e.Info(ctx)
	if err != nil {
		return err
	}
	i.ServerVersion = version
	if spec != "" {
		return format.Object(a.stdout, spec, i)
	}
	printInfo(a, i)
	return nil
}

func printInfo(a *app, i engine.Info) {
	lines := [][2]string{
		{"Server", ""},
		{" Containers", fmt.Sprint(i.Containers)},
		{"  Running", fmt.Sprint(i.ContainersRunning)},
		{"  Paused", fmt.Sprint(i.ContainersPaused)},
		{"  Stopped", fmt.Sprint(i.ContainersStopped)},
		{" Images", fmt.Sprint(i.Images)},
		{" Server Version", i.ServerVersion},
		{" Storage Driver", i.Driver},
		{" Cgroup Driver", i.CgroupDriver},
		{" Cgroup Version", i.CgroupVersion},
		{" Security Options", strings.Join(i.SecurityOptions, " ")},
		{" Kernel Version", i.KernelVersion},
		{" Operating System", i.OperatingSystem},
		{" OSType", i.OSType},
		{" Architecture", i.Architecture},
		{" CPUs", fmt.Sprint(i.NCPU)},
		{" Total Memory", units.BytesSize(float64(i.MemTotal))},
		{" Name", i.Name},
		{" Docker Root Dir", i.DockerRootDir},
	}
	for _, l := range lines {
		fmt.Fprintln(a.stdout, strings.TrimRight(l[0]+": "+l[1], " "))
	}
}
