package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/build/history"
	"github.com/mica-build/mica/internal/ui/format"
)

// newBuildsCmd is `mica builds`.
func newBuildsCmd(a *app) *cobra.Command {
	return group("builds", "Look at builds of the past", newBuildsLsCmd(a), newBuildsShowCmd(a), newBuildsLogsCmd(a), newWhyCmd(a), newBuildsShellCmd(a))
}

// history opens the records of builds.
func (a *app) history() (*history.History, error) {
	st, err := a.store()
	if err != nil {
		return nil, err
	}
	return history.Open(st), nil
}

func newBuildsLsCmd(a *app) *cobra.Command {
	var spec string
	var quiet bool
	cmd := &cobra.Command{
		Use:     "ls [OPTIONS]",
		Aliases: []string{"list"},
		Short:   "List builds, the latest first",
		Args:    args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBuildsLs(a, spec, quiet)
		},
	}
	cmd.Flags().StringVar(&spec, "format", "", formatHelp)
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "only show ids")
	return cmd
}

func runBuildsLs(a *app, spec string, quiet bool) error {
	h, err := a.history()
	if err != nil {
		return err
	}
	list, err := h.List()
	if err != nil {
		return err
	}
	now := time.Now()
	rows := make([]buildRow, len(list))
	for i, b := range list {
		rows[i] = newBuildRow(b, now)
	}
	if quiet {
		spec = "{{.ID}}"
	}
	return format.Rows(a.stdout, spec, "{{.ID}}\t{{.Name}}\t{{.Target}}\t{{.Status}}\t{{.CreatedSince}}\t{{.Duration}}\t{{.Steps}}", rows)
}

// A buildRow is one line of `mica builds ls`.
type buildRow struct {
	Cached       string
	Context      string
	CreatedAt    string
	CreatedSince string `header:"CREATED"`
	Dockerfile   string
	Duration     string
	Error        string
	ID           string `header:"BUILD ID"`
	ImageID      string
	Name         string
	Ran          string
	Same         string
	Status       string
	Steps        string
	Target       string
}

func newBuildRow(b *history.Build, now time.Time) buildRow {
	r := buildRow{
		Cached: strconv.Itoa(b.Cached), Context: b.Context, CreatedAt: format.Time(b.Started),
		CreatedSince: format.Since(now, b.Started), Dockerfile: b.Dockerfile, Duration: seconds(b.Duration(now)),
		Error: b.Error, ID: string(b.ID), ImageID: b.ImageID, Name: b.Name(), Ran: strconv.Itoa(b.Ran),
		Same: string(b.Same), Status: string(b.State), Target: b.Target,
		Steps: fmt.Sprintf("%d ran, %d cached", b.Ran, b.Cached),
	}
	if b.Same != "" {
		r.Steps = "nothing to do"
	}
	return r
}

// seconds prints a duration as progress does.
func seconds(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	if d < time.Minute {
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func newBuildsShowCmd(a *app) *cobra.Command {
	var spec string
	cmd := &cobra.Command{
		Use:               "show [OPTIONS] [BUILD]",
		Short:             "Show a build step by step",
		Long:              "Show a build step by step: what came from the cache, and what running took.\nWithout a BUILD it is the latest.",
		Args:              args(0, 1),
		ValidArgsFunction: a.completeBuilds,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBuildsShow(cmd.Context(), a, spec, first(args))
		},
	}
	cmd.Flags().StringVar(&spec, "format", "", formatHelp)
	return cmd
}

// first is the first argument, "" if there is none.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func runBuildsShow(ctx context.Context, a *app, spec, name string) error {
	h, err := a.history()
	if err != nil {
		return err
	}
	b, err := h.Build(name)
	if err != nil {
		return err
	}
	steps, err := h.Steps(b)
	if err != nil {
		return err
	}
	rows := make([]stepRow, len(steps))
	for i, s := range steps {
		rows[i] = newStepRow(s, h.LayerSize(ctx, s))
	}
	if spec == "" {
		printBuild(a, b)
	}
	return format.Rows(a.stdout, spec, "{{.Step}}\t{{.State}}\t{{.Wall}}\t{{.CPU}}\t{{.Size}}\t{{.Log}}\t{{.Name}}", rows)
}

// printBuild prints what is to be said of the build as a whole.
func printBuild(a *app, b *history.Build) {
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(a.stdout, "%-12s%s\n", key+":", value)
		}
	}
	line("Build", string(b.ID))
	line("Status", string(b.State))
	line("Started", format.Time(b.Started))
	line("Took", seconds(b.Duration(time.Now())))
	line("Context", b.Context)
	line("Dockerfile", b.Dockerfile)
	line("Target", b.Target)
	line("Platforms", strings.Join(b.Platforms, ", "))
	line("Tags", strings.Join(b.Tags, ", "))
	line("Image", b.ImageID)
	if b.Same != "" {
		line("Same as", string(b.Same))
	}
	line("Error", b.Error)
	fmt.Fprintln(a.stdout)
}

// A stepRow is one step of `mica builds show`.
type stepRow struct {
	CPU   string
	Error string
	Kind  string
	Lines string
	Log   string `header:"OUTPUT"`
	Name  string
	Size  string
	State string
	Step  string
	Wall  string
}

func newStepRow(s *history.Step, size int64) stepRow {
	r := stepRow{
		Error: s.Error, Kind: s.Kind, Name: format.Ellipsis(strings.Join(strings.Fields(s.Name), " "), 100),
		State: string(s.State), Step: strconv.Itoa(s.Number),
	}
	if s.File != "" {
		r.Lines = fmt.Sprintf("%s:%d", s.File, s.Line)
	}
	if s.Ran() {
		r.Wall, r.Size = fmt.Sprintf("%.2fs", s.Wall.Seconds()), format.Size(max(size, 0))
		if size < 0 {
			r.Size = ""
		}
		if s.Kind == "exec" {
			r.CPU = fmt.Sprintf("%.2fs", s.CPU.Seconds())
		}
	}
	if s.Logged > 0 {
		r.Log = format.Size(s.Logged)
	}
	return r
}

// completeBuilds completes ids of builds.
func (a *app) completeBuilds(_ *cobra.Command, given []string, prefix string) ([]string, cobra.ShellCompDirective) {
	h, err := a.history()
	if err != nil || len(given) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, _ := h.List()
	var out []string
	for _, b := range list {
		if strings.HasPrefix(string(b.ID), prefix) {
			out = append(out, string(b.ID)+"\t"+b.Name())
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
