package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/mica-build/mica/container/monitor"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/format"
)

func newTopCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "top CONTAINER [ps OPTIONS]", Short: "Show the processes of a container", Args: args(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error { return a.top(cmd.Context(), args[0], args[1:]) },
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// top asks the host's ps, as docker does, and leaves out what is not the container's.
func (a *app) top(ctx context.Context, name string, options []string) error {
	c, err := a.findContainer(name)
	if err != nil {
		return err
	}
	r, err := a.ask(ctx, c, monitor.Request{Op: monitor.PIDs})
	if err != nil {
		return err
	}
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	out, err := exec.CommandContext(ctx, "ps", options...).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return withHint(fmt.Errorf("top: %w", err), "The host's ps is needed: apt-get install procps.")
	}
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("ps %s: %s", strings.Join(options, " "), bytes.TrimSpace(exit.Stderr))
		}
		return err
	}
	head, rest, _ := strings.Cut(string(out), "\n")
	titles := strings.Fields(head)
	at := slices.Index(titles, "PID")
	if at < 0 {
		return errors.New("top: the output of ps has no PID column")
	}
	fmt.Fprintln(a.stdout, head)
	for line := range strings.Lines(rest) {
		f := strings.Fields(line)
		if len(f) <= at {
			continue
		}
		if pid, err := strconv.Atoi(f[at]); err == nil && slices.Contains(r.PIDs, pid) {
			fmt.Fprint(a.stdout, line)
		}
	}
	return nil
}

type statsOptions struct {
	all, noStream, noTrunc bool
	format                 string
}

func newStatsCmd(a *app) *cobra.Command {
	var o statsOptions
	cmd := &cobra.Command{
		Use: "stats [OPTIONS] [CONTAINER...]", Short: "Show what containers use", Args: args(0, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error { return a.stats(cmd.Context(), o, args) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "show those that do not run, too")
	f.BoolVar(&o.noStream, "no-stream", false, "show it once")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "do not cut ids")
	f.StringVar(&o.format, "format", "", formatHelp)
	return cmd
}

const statsTable = "{{.Container}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"

// A statsRow is one line of `mica stats`.
type statsRow struct {
	BlockIO   string `header:"BLOCK I/O"`
	CPUPerc   string `header:"CPU %"`
	Container string `header:"CONTAINER ID"`
	ID        string `header:"CONTAINER ID"`
	MemPerc   string `header:"MEM %"`
	MemUsage  string `header:"MEM USAGE / LIMIT"`
	Name      string
	NetIO     string `header:"NET I/O"`
	PIDs      string `header:"PIDS"`
}

// A sample is what a container had used at some time.
type sample struct {
	r  monitor.Reply
	at time.Time
}

func (a *app) stats(ctx context.Context, o statsOptions, names []string) error {
	before := map[string]sample{}
	for first := true; ; first = false {
		list, err := a.statsOf(o, names)
		if err != nil {
			return err
		}
		now := map[string]sample{}
		for _, c := range list {
			if r, err := a.ask(ctx, c, monitor.Request{Op: monitor.Usage}); err == nil {
				now[c.ID] = sample{r, time.Now()}
			}
		}
		if !first || o.noStream && len(list) == 0 {
			var rows []statsRow
			for _, c := range list {
				rows = append(rows, newStatsRow(c, before[c.ID], now[c.ID], o.noTrunc))
			}
			if !o.noStream && isTerminal(a.stdout) {
				fmt.Fprint(a.stdout, "\x1b[H\x1b[2J")
			}
			if err := format.Rows(a.stdout, o.format, statsTable, rows); err != nil {
				return err
			}
			if o.noStream {
				return nil
			}
		}
		before = now
		wait := time.Second
		if first || o.noStream {
			wait = 500 * time.Millisecond
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *app) statsOf(o statsOptions, names []string) ([]*record.Container, error) {
	if len(names) == 0 {
		return a.chosenContainers(psOptions{all: o.all, last: -1})
	}
	var list []*record.Container
	for _, n := range names {
		c, err := a.findContainer(n)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}

func newStatsRow(c *record.Container, before, now sample, noTrunc bool) statsRow {
	id := c.ID
	if !noTrunc {
		id = id[:12]
	}
	u := now.r.Usage
	limit := u.MemoryLimit
	if limit == 0 {
		limit = hostMemory()
	}
	r := statsRow{
		Container: id, ID: id, Name: c.Name, CPUPerc: "0.00%", MemPerc: "0.00%",
		MemUsage: units.BytesSize(float64(u.Memory)) + " / " + units.BytesSize(float64(limit)),
		NetIO:    units.HumanSizeWithPrecision(float64(now.r.Net.Received), 3) + " / " + units.HumanSizeWithPrecision(float64(now.r.Net.Sent), 3),
		BlockIO:  units.HumanSizeWithPrecision(float64(u.BlockRead), 3) + " / " + units.HumanSizeWithPrecision(float64(u.BlockWrite), 3),
		PIDs:     strconv.FormatInt(u.Processes, 10),
	}
	if passed := now.at.Sub(before.at); !before.at.IsZero() && passed > 0 {
		r.CPUPerc = fmt.Sprintf("%.2f%%", 100*float64(u.CPU-before.r.Usage.CPU)/float64(passed))
	}
	if limit > 0 {
		r.MemPerc = fmt.Sprintf("%.2f%%", 100*float64(u.Memory)/float64(limit))
	}
	return r
}

type updateOptions struct {
	restart string
	limits  limitFlags
	pids    int64
}

func newUpdateCmd(a *app) *cobra.Command {
	var o updateOptions
	cmd := a.newContainerVerb("update", "Change the limits and the restart policy of containers", func(ctx context.Context, c *record.Container) error {
		return a.update(ctx, o, c)
	})
	f := cmd.Flags()
	f.StringVar(&o.restart, "restart", "", "when to start it again: no, on-failure[:n], always or unless-stopped")
	f.Int64Var(&o.pids, "pids-limit", 0, "limit of processes")
	o.limits.addTo(f)
	for _, name := range []string{"shm-size", "ulimit", "cgroup-parent"} { // docker has them for run only
		must(f.MarkHidden(name))
	}
	return cmd
}

func (a *app) update(ctx context.Context, o updateOptions, c *record.Container) error {
	l, err := o.limits.parse()
	if err != nil {
		return err
	}
	if l.shmSize != 0 || l.cgroupParent != "" || len(l.ulimits) > 0 {
		return fmt.Errorf("update: --shm-size, --ulimit and --cgroup-parent: %w once a container is made", errs.ErrUnsupported)
	}
	f, err := a.containers()
	if err != nil {
		return err
	}
	l.resources.PidsLimit = o.pids
	to := c.Config
	mergeResources(&to, l)
	if o.restart != "" {
		if to.Restart, err = parseRestart(o.restart); err != nil {
			return err
		}
		if to.AutoRemove && to.Restart.Name != "no" {
			return fmt.Errorf("restart policy cannot be updated because AutoRemove is enabled for the container: %w", errs.ErrConflict)
		}
	}
	old := c.Config
	if err := f.SetConfig(c, to); err != nil {
		return err
	}
	_, err = a.ask(ctx, c, monitor.Request{Op: monitor.Update, Limits: &l.resources})
	if errors.Is(err, errs.ErrConflict) {
		err = nil // nobody keeps it: the next start has the limits
	}
	if err != nil {
		return errors.Join(err, f.SetConfig(c, old))
	}
	a.event(c, "update", nil)
	return nil
}

// mergeResources sets the limits that were given.
func mergeResources(c *record.Config, l limits) {
	r, n := &c.Options.Sandbox.Resources, l.resources
	if n.Memory != 0 {
		r.Memory = n.Memory
	}
	if n.MemorySwap != 0 {
		r.MemorySwap = n.MemorySwap
	}
	if n.CPUShares != 0 {
		r.CPUShares = n.CPUShares
	}
	if n.CPUPeriod != 0 {
		r.CPUPeriod = n.CPUPeriod
	}
	if n.CPUQuota != 0 {
		r.CPUQuota = n.CPUQuota
	}
	if n.CpusetCPUs != "" {
		r.CpusetCPUs = n.CpusetCPUs
	}
	if n.CpusetMems != "" {
		r.CpusetMems = n.CpusetMems
	}
	if n.PidsLimit != 0 {
		r.PidsLimit = n.PidsLimit
	}
}
