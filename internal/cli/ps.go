package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/ui/format"
	"github.com/mica-build/mica/sandbox"
)

type psOptions struct {
	all, latest, noTrunc, quiet, size bool
	last                              int
	format                            string
	filter                            []string
}

// The tables of `mica ps`.
const (
	psTable     = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
	psSizeTable = psTable + "\t{{.Size}}"
)

func newPsCmd(a *app, use string, aliases ...string) *cobra.Command {
	var o psOptions
	cmd := &cobra.Command{
		Use: use + " [OPTIONS]", Aliases: aliases, Short: "List containers", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.ps(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "show those that do not run, too")
	f.BoolVarP(&o.latest, "latest", "l", false, "show the newest one")
	f.IntVarP(&o.last, "last", "n", -1, "show the `n` newest ones")
	f.BoolVar(&o.noTrunc, "no-trunc", false, "do not cut what is long")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "only show ids")
	f.BoolVarP(&o.size, "size", "s", false, "show what they have written, too")
	f.StringVar(&o.format, "format", "", formatHelp)
	f.StringArrayVarP(&o.filter, "filter", "f", nil, "only containers for which it holds: id, name, label, exited, status, ancestor, before, since, volume, network, publish, expose, health")
	return cmd
}

func (a *app) ps(ctx context.Context, o psOptions) error {
	list, err := a.chosenContainers(o)
	if err != nil {
		return err
	}
	spec := o.format
	if o.quiet && (spec == "" || spec == "table") {
		spec = "{{.ID}}"
	}
	if spec == "" {
		c, err := a.configFormats()
		if err != nil {
			return err
		}
		spec = c.PS
	}
	size := o.size || strings.Contains(spec, ".Size")
	table := psTable
	if o.size {
		table = psSizeTable
	}
	rows := make([]psRow, 0, len(list))
	for _, c := range list {
		r := newPsRow(c, o.noTrunc, time.Now())
		if size {
			if r.Size, err = a.containerSize(c); err != nil {
				return err
			}
		}
		rows = append(rows, r)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return format.Rows(a.stdout, spec, table, rows)
}

// chosenContainers are those that the flags ask for, the newest first.
func (a *app) chosenContainers(o psOptions) ([]*record.Container, error) {
	fs, err := parseFilters(o.filter, "id", "name", "label", "label!", "exited", "status", "ancestor", "before", "since", "volume", "network", "publish", "expose", "health", "is-task")
	if err != nil {
		return nil, err
	}
	f, err := a.containers()
	if err != nil {
		return nil, err
	}
	all, err := f.List()
	if err != nil {
		return nil, err
	}
	if o.latest {
		o.last = 1
	}
	if o.last >= 0 {
		all, o.all = all[:min(o.last, len(all))], true
	}
	match, err := a.containerFilter(fs, all)
	if err != nil {
		return nil, err
	}
	any := o.all || len(fs["status"]) > 0 || len(fs["exited"]) > 0
	return slices.DeleteFunc(slices.Clone(all), func(c *record.Container) bool {
		return !any && !c.State.Up() && c.State.Status != record.Restarting || !match(c)
	}), nil
}

// containerFilter makes a test of filters. Different keys all have to hold, of the values
// of one key any (labels: all).
func (a *app) containerFilter(fs filters, all []*record.Container) (func(*record.Container) bool, error) {
	for _, s := range fs["status"] {
		if !slices.Contains([]record.Status{"created", "running", "paused", "restarting", "exited", "dead", "removing"}, record.Status(s)) {
			return nil, fmt.Errorf("invalid filter 'status=%s'", s)
		}
	}
	for _, s := range fs["exited"] {
		if _, err := strconv.Atoi(s); err != nil {
			return nil, fmt.Errorf("invalid filter 'exited=%s': it is a number", s)
		}
	}
	bounds := map[string]time.Time{}
	for _, key := range []string{"before", "since"} {
		for _, s := range fs[key] {
			c, err := a.findContainer(s)
			if err != nil {
				return nil, err
			}
			bounds[key] = c.Created
		}
	}
	anyOf := func(key string, is func(string) bool) bool {
		return len(fs[key]) == 0 || slices.ContainsFunc(fs[key], is)
	}
	return func(c *record.Container) bool {
		health := "none"
		if c.State.Health != nil {
			health = c.State.Health.Status
		}
		for _, l := range fs["label"] {
			k, want, has := strings.Cut(l, "=")
			if got, ok := c.Labels[k]; !ok || has && got != want {
				return false
			}
		}
		for _, l := range fs["label!"] {
			k, want, has := strings.Cut(l, "=")
			if got, ok := c.Labels[k]; ok && (!has || got == want) {
				return false
			}
		}
		if t, ok := bounds["before"]; ok && !c.Created.Before(t) {
			return false
		}
		if t, ok := bounds["since"]; ok && !c.Created.After(t) {
			return false
		}
		return anyOf("id", func(s string) bool { return strings.Contains(c.ID, s) }) &&
			anyOf("name", func(s string) bool { return matchesName(c.Name, s) }) &&
			anyOf("exited", func(s string) bool {
				return c.State.Status == record.Exited && strconv.Itoa(c.State.ExitCode) == s
			}) &&
			anyOf("status", func(s string) bool { return string(c.State.Status) == s }) &&
			anyOf("ancestor", func(s string) bool { return a.descends(c, s) }) &&
			anyOf("health", func(s string) bool { return s == health }) &&
			anyOf("volume", func(s string) bool { return mountsVolume(c, s) }) &&
			anyOf("network", func(s string) bool { return slices.Contains(networksOf(c), s) }) &&
			anyOf("expose", func(s string) bool { return slices.Contains(c.Expose, withProtocol(s)) }) &&
			anyOf("publish", func(s string) bool {
				return slices.ContainsFunc(c.Ports, func(p record.Port) bool {
					return fmt.Sprintf("%d/%s", p.Container, p.Protocol) == withProtocol(s) || strconv.Itoa(int(p.Host)) == s
				})
			})
	}, nil
}

func withProtocol(port string) string {
	if strings.Contains(port, "/") {
		return port
	}
	return port + "/tcp"
}

// matchesName is docker's: a part of the name, with or without its slash, or ^ and $.
func matchesName(name, pattern string) bool {
	p := strings.TrimPrefix(pattern, "/")
	start := strings.HasPrefix(p, "^")
	p = strings.TrimPrefix(strings.TrimPrefix(p, "^"), "/")
	p, end := strings.CutSuffix(p, "$")
	switch {
	case start && end:
		return name == p
	case start:
		return strings.HasPrefix(name, p)
	case end:
		return strings.HasSuffix(name, p)
	}
	return strings.Contains(name, p)
}

// descends says whether the container is of an image, or of one that stands on it.
func (a *app) descends(c *record.Container, name string) bool {
	if strings.HasPrefix(c.ImageID.String(), name) || strings.HasPrefix(c.ImageID.Encoded(), name) && len(name) >= 4 {
		return true
	}
	e, err := a.engine()
	if err != nil {
		return false
	}
	m, err := e.ImageFor(context.Background(), name, nil)
	if err != nil || len(m.Layers) > len(c.Layers) {
		return false
	}
	if m.ID == c.ImageID {
		return true
	}
	ids := m.Config.RootFS.DiffIDs
	return len(ids) > 0 && len(ids) <= len(c.Of.RootFS.DiffIDs) && slices.Equal(ids, c.Of.RootFS.DiffIDs[:len(ids)])
}

func mountsVolume(c *record.Container, s string) bool {
	return slices.ContainsFunc(c.Volumes, func(v record.Volume) bool { return v.Name == s || v.Target == s }) ||
		slices.ContainsFunc(c.Options.Sandbox.Mounts, func(m sandbox.Mount) bool { return m.Target == s || m.Source == s })
}

// networksOf are the names of a container's networks.
func networksOf(c *record.Container) []string {
	var names []string
	for _, n := range c.Networks {
		names = append(names, n.Network)
	}
	if len(names) > 0 {
		return names
	}
	switch c.Options.Sandbox.Network {
	case sandbox.None:
		return []string{"none"}
	case sandbox.Host:
		return []string{"host"}
	}
	return []string{"bridge"}
}

// A psRow is one line of `mica ps`.
type psRow struct {
	Command      string
	CreatedAt    string
	HealthStatus string
	ID           string `header:"CONTAINER ID"`
	Image        string
	Labels       string
	LocalVolumes string
	Mounts       string
	Names        string
	Networks     string
	Platform     string
	Ports        string
	RunningFor   string `header:"CREATED"`
	Size         string
	State        string
	Status       string

	labels map[string]string
}

// Label is the value of one label, for templates.
func (r psRow) Label(name string) string { return r.labels[name] }

func newPsRow(c *record.Container, noTrunc bool, now time.Time) psRow {
	command := showCommand(c.Options.Args(c.Of))
	id, image := c.ID, c.Image
	if !noTrunc {
		id, command = id[:12], format.Ellipsis(command, 20)
	}
	var labels, mounts []string
	for k, v := range c.Labels {
		labels = append(labels, k+"="+v)
	}
	slices.Sort(labels)
	for _, v := range c.Volumes {
		mounts = append(mounts, shortMount(v.Name, noTrunc))
	}
	for _, m := range c.Options.Sandbox.Mounts {
		if m.Kind == sandbox.Bind {
			mounts = append(mounts, shortMount(m.Source, noTrunc))
		}
	}
	r := psRow{
		ID: id, Image: image, Command: strconv.Quote(command), CreatedAt: format.Time(c.Created), RunningFor: format.Since(now, c.Created),
		Status: showStatus(c, now), State: string(c.State.Status), Ports: showPorts(c), Names: c.Name,
		Labels: strings.Join(labels, ","), Mounts: strings.Join(mounts, ","), LocalVolumes: strconv.Itoa(len(c.Volumes)),
		Networks: strings.Join(networksOf(c), ","), Platform: c.Platform.OS + "/" + c.Platform.Architecture, Size: "0B", labels: c.Labels,
	}
	if c.State.Health != nil {
		r.HealthStatus = c.State.Health.Status
	}
	return r
}

// showCommand joins a command, with quotes around arguments that have blanks.
func showCommand(args []string) string {
	out := slices.Clone(args)
	for i, a := range out {
		if i > 0 && strings.Contains(a, " ") {
			out[i] = "'" + a + "'"
		}
	}
	return strings.Join(out, " ")
}

func shortMount(name string, noTrunc bool) string {
	if noTrunc || len(name) <= 15 {
		return name
	}
	return name[:14] + "…"
}

// showStatus is the STATUS column.
func showStatus(c *record.Container, now time.Time) string {
	s := c.State
	ago := func(t time.Time) string { return units.HumanDuration(now.Sub(t)) }
	switch s.Status {
	case record.Running, record.Paused:
		out := "Up " + ago(s.Started)
		switch {
		case s.Status == record.Paused:
			out += " (Paused)"
		case s.Health != nil && s.Health.Status == "starting":
			out += " (health: starting)"
		case s.Health != nil:
			out += " (" + s.Health.Status + ")"
		}
		return out
	case record.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, ago(s.Finished))
	case record.Exited:
		return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, ago(s.Finished))
	case record.Dead:
		return "Dead"
	}
	return "Created"
}

// containerSize is what a container has written, and how much that is with its image.
func (a *app) containerSize(c *record.Container) (string, error) {
	own, err := treeSize(c.Upper())
	if err != nil {
		return "", err
	}
	e, err := a.engine()
	if err != nil {
		return "", err
	}
	out := format.Size(own)
	if m, err := e.ImageFor(context.Background(), c.ImageID.String(), nil); err == nil {
		out += " (virtual " + format.Size(own+m.Size) + ")"
	} else if !errors.Is(err, errs.ErrNotFound) {
		return "", err
	}
	return out, nil
}

// treeSize adds up the sizes of the files below dir. What goes away meanwhile does not
// count.
func treeSize(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}
