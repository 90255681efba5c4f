package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/container/record"
)

func newContainerPruneCmd(a *app) *cobra.Command {
	var force bool
	var filter []string
	cmd := &cobra.Command{
		Use: "prune [OPTIONS]", Short: "Remove all containers that do not run", Args: args(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			fs, err := parseFilters(filter, "until", "label", "label!")
			if err != nil {
				return err
			}
			until, err := fs.time("until", time.Now())
			if err != nil {
				return err
			}
			if !force {
				if err := a.confirm(cmd.Context(), "WARNING! This will remove all stopped containers."); err != nil {
					return err
				}
			}
			return a.pruneContainers(fs, until)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	cmd.Flags().StringArrayVar(&filter, "filter", nil, "only containers for which it holds: until, label")
	return cmd
}

func (a *app) pruneContainers(fs filters, until time.Time) error {
	list, err := a.stoppedContainers(fs, until)
	if err != nil {
		return err
	}
	freed, err := a.removeAll("Containers", false, list)
	if err != nil {
		return err
	}
	printReclaimed(a, false, freed)
	return nil
}

// A removable is something that prune removes.
type removable struct {
	name   string
	dir    string // what it takes
	remove func() error
}

// removeAll removes what is in the list and says so. It gives the bytes that this frees.
func (a *app) removeAll(kind string, dryRun bool, list []removable) (freed int64, err error) {
	for i, r := range list {
		n, err := treeSize(r.dir)
		if err != nil {
			return freed, err
		}
		if !dryRun {
			if err := r.remove(); err != nil {
				return freed, err
			}
		}
		if i == 0 && dryRun {
			fmt.Fprintln(a.stdout, "Would delete "+kind+":")
		} else if i == 0 {
			fmt.Fprintln(a.stdout, "Deleted "+kind+":")
		}
		fmt.Fprintln(a.stdout, r.name)
		freed += n
	}
	if len(list) > 0 {
		fmt.Fprintln(a.stdout)
	}
	return freed, nil
}

// stoppedContainers are those that nothing keeps.
func (a *app) stoppedContainers(fs filters, until time.Time) ([]removable, error) {
	m, err := a.monitor()
	if err != nil {
		return nil, err
	}
	list, err := m.Folder.List()
	if err != nil {
		return nil, err
	}
	match, err := a.containerFilter(filters{"label": fs["label"], "label!": fs["label!"]}, list)
	if err != nil {
		return nil, err
	}
	var out []removable
	for _, c := range list {
		if c.Kept || c.State.Up() || !match(c) || !until.IsZero() && c.Created.After(until) {
			continue
		}
		out = append(out, removable{c.ID, c.Dir(), func() error { return m.Remove(c, false) }})
	}
	return out, nil
}

// hostMemory is the machine's memory in bytes.
func hostMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

func newSystemdCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "systemd CONTAINER", Short: "Print a systemd unit that starts the container at boot", Args: args(1, 1), ValidArgsFunction: a.completeContainers,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.findContainer(args[0])
			if err != nil {
				return err
			}
			fmt.Fprint(a.stdout, unitOf(c, a.root))
			return nil
		},
	}
}

// unitOf is a unit that starts c attached, so that systemd sees it end.
func unitOf(c *record.Container, root string) string {
	restart := map[string]string{"always": "always", "unless-stopped": "always", "on-failure": "on-failure"}[c.Restart.Name]
	if restart == "" {
		restart = "no"
	}
	seconds := 10
	if c.StopTimeout != nil {
		seconds = *c.StopTimeout
	}
	wanted := "multi-user.target"
	if slices.Contains([]string{"always", "unless-stopped"}, c.Restart.Name) {
		restart = "on-failure" // the container's monitor starts it again by itself
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=Container %s (%s)\nAfter=network-online.target\nWants=network-online.target\n\n", c.Name, c.Image)
	fmt.Fprintf(&b, "[Service]\nExecStart=/usr/local/bin/mica --root %s start --attach %s\n", root, c.ID)
	fmt.Fprintf(&b, "ExecStop=/usr/local/bin/mica --root %s stop --timeout %d %s\n", root, seconds, c.ID)
	fmt.Fprintf(&b, "Restart=%s\nKillMode=process\nTimeoutStopSec=%d\n\n[Install]\nWantedBy=%s\n", restart, seconds+10, wanted)
	return b.String()
}
