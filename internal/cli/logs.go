package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/container/jsonlog"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
)

type logsOptions struct {
	follow, timestamps, details bool
	since, until, tail          string
}

func newLogsCmd(a *app) *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use: "logs [OPTIONS] CONTAINER", Short: "Show the output of a container", Args: args(1, 1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error { return a.logs(cmd.Context(), o, args[0]) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.follow, "follow", "f", false, "go on while the container writes")
	f.BoolVarP(&o.timestamps, "timestamps", "t", false, "show when each line was written")
	f.BoolVar(&o.details, "details", false, "show the attributes that --log-opt named")
	f.StringVar(&o.since, "since", "", "show lines from this time on, a date or `10m` ago")
	f.StringVar(&o.until, "until", "", "show lines until this time")
	f.StringVarP(&o.tail, "tail", "n", "all", "show only the last lines")
	return cmd
}

func (a *app) logs(ctx context.Context, o logsOptions, name string) error {
	c, err := a.findContainer(name)
	if err != nil {
		return err
	}
	if c.Log.Driver == "none" {
		return fmt.Errorf("container %s has --log-driver none: %w", c.Name, errs.ErrUnsupported)
	}
	ro := jsonlog.ReadOptions{Tail: -1, Follow: o.follow && c.Kept}
	now := time.Now()
	if o.since != "" {
		if ro.Since, err = parseTime(o.since, now); err != nil {
			return fmt.Errorf("invalid value for \"since\": %w", err)
		}
	}
	if o.until != "" {
		if ro.Until, err = parseTime(o.until, now); err != nil {
			return fmt.Errorf("invalid value for \"until\": %w", err)
		}
	}
	if n, err := strconv.Atoi(o.tail); err == nil && n >= 0 {
		ro.Tail = n
	}
	folder, err := a.containers()
	if err != nil {
		return err
	}
	ro.Ended = func() bool {
		now, err := folder.Again(c)
		return err != nil || !now.Kept || now.State.Status == record.Exited
	}
	err = jsonlog.Read(ctx, c.LogPath(), ro, func(e jsonlog.Entry) error {
		var w io.Writer = a.stdout
		if e.Stream == "stderr" {
			w = a.stderr
		}
		line := e.Log
		if o.timestamps {
			line = e.Time.Format("2006-01-02T15:04:05.000000000Z07:00") + " " + line
		}
		_, err := io.WriteString(w, line)
		return err
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func newPortCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "port CONTAINER [PORT[/PROTOCOL]]", Short: "Show the published ports of a container", Args: args(1, 2), ValidArgsFunction: a.completeContainers,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.findContainer(args[0])
			if err != nil {
				return err
			}
			found := false
			for _, p := range c.State.Ports {
				inside := fmt.Sprintf("%d/%s", p.Container, p.Protocol)
				host := p.HostIP
				if strings.Contains(host, ":") {
					host = "[" + host + "]"
				}
				switch {
				case len(args) == 1:
					fmt.Fprintf(a.stdout, "%s -> %s:%d\n", inside, host, p.Host)
				case inside == withProtocol(args[1]):
					fmt.Fprintf(a.stdout, "%s:%d\n", host, p.Host)
				default:
					continue
				}
				found = true
			}
			if len(args) == 2 && !found {
				return fmt.Errorf("no public port '%s' published for %s", withProtocol(args[1]), c.Name)
			}
			return nil
		},
	}
}

// sortedPairs are the labels of a map, as "key=value".
func sortedPairs(m map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return out
}
