package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/container/monitor"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
)

// eachContainer does one thing to each named container, and prints its name as it was
// given. Failures do not keep the others from it.
func (a *app) eachContainer(names []string, do func(*record.Container) error) error {
	var failed failures
	for _, n := range names {
		c, err := a.findContainer(n)
		if err == nil {
			err = do(c)
		}
		if err != nil {
			failed = append(failed, err)
			continue
		}
		fmt.Fprintln(a.stdout, n)
	}
	return failed.err()
}

// ask asks the monitor of a container, which must have one.
func (a *app) ask(ctx context.Context, c *record.Container, q monitor.Request) (monitor.Reply, error) {
	conn, err := monitor.Dial(ctx, c)
	if err != nil {
		return monitor.Reply{}, err
	}
	defer conn.Close()
	r, files, err := conn.Ask(ctx, q)
	for _, f := range files {
		f.Close()
	}
	return r, err
}

// newContainerVerb is a command that does one thing to containers.
func (a *app) newContainerVerb(use, short string, do func(context.Context, *record.Container) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " CONTAINER [CONTAINER...]", Short: short, Args: args(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.eachContainer(args, func(c *record.Container) error { return do(cmd.Context(), c) })
		},
	}
}

func newStopCmd(a *app) *cobra.Command {
	var o stopOptions
	cmd := a.newContainerVerb("stop", "Stop containers", func(ctx context.Context, c *record.Container) error { return a.stop(ctx, c, o) })
	o.addTo(cmd)
	return cmd
}

// stopOptions are the flags of stop and restart.
type stopOptions struct {
	signal  string
	timeout int
	set     func() bool
}

func (o *stopOptions) addTo(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.signal, "signal", "s", "", "signal to send instead of the container's")
	f.IntVarP(&o.timeout, "timeout", "t", 10, "seconds to wait before the container is killed; -1 is for ever")
	f.IntVar(&o.timeout, "time", 10, "as --timeout")
	must(f.MarkHidden("time"))
	o.set = func() bool { return f.Changed("timeout") || f.Changed("time") }
}

// stop stops a container; one that does not run is no error.
func (a *app) stop(ctx context.Context, c *record.Container, o stopOptions) error {
	q := monitor.Request{Op: monitor.Stop}
	if o.signal != "" {
		sig, err := signalNumber(o.signal)
		if err != nil {
			return err
		}
		q.Signal = int(sig)
	}
	if o.set() {
		q.Timeout = &o.timeout
	}
	if !c.Kept {
		return a.noteStopped(c)
	}
	_, err := a.ask(ctx, c, q)
	if errors.Is(err, errs.ErrConflict) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // it ended by itself
	}
	return err
}

// noteStopped remembers that the user does not want the container, for the time after a
// restart of the machine.
func (a *app) noteStopped(c *record.Container) error {
	if c.State.Stopped || c.Restart.Name == "no" {
		return nil
	}
	f, err := a.containers()
	if err != nil {
		return err
	}
	s := c.State
	s.Stopped = true
	return f.SetState(c, s)
}

func newKillCmd(a *app) *cobra.Command {
	var name string
	cmd := a.newContainerVerb("kill", "Send a signal to containers", func(ctx context.Context, c *record.Container) error {
		sig, err := signalNumber(name)
		if err != nil {
			return err
		}
		if !c.Kept {
			return fmt.Errorf("cannot kill container: %s: container %s is not running: %w", c.Name, c.ID, errs.ErrConflict)
		}
		if _, err := a.ask(ctx, c, monitor.Request{Op: monitor.Signal, Signal: int(sig)}); err != nil {
			return fmt.Errorf("cannot kill container: %s: %w", c.Name, err)
		}
		if sig == unix.SIGKILL {
			return a.awaitEnd(ctx, c)
		}
		return nil
	})
	cmd.Flags().StringVarP(&name, "signal", "s", "KILL", "the signal")
	return cmd
}

// awaitEnd waits, not for long, until a killed container is known to have ended.
func (a *app) awaitEnd(ctx context.Context, c *record.Container) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := a.ask(ctx, c, monitor.Request{Op: monitor.Wait})
	if err == nil || errors.Is(err, errs.ErrConflict) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func newPauseCmd(a *app) *cobra.Command {
	return a.newContainerVerb("pause", "Stop all processes of containers for a while", func(ctx context.Context, c *record.Container) error {
		_, err := a.ask(ctx, c, monitor.Request{Op: monitor.Pause})
		return err
	})
}

func newUnpauseCmd(a *app) *cobra.Command {
	return a.newContainerVerb("unpause", "Let the processes of paused containers go on", func(ctx context.Context, c *record.Container) error {
		_, err := a.ask(ctx, c, monitor.Request{Op: monitor.Unpause})
		return err
	})
}

func newRestartCmd(a *app) *cobra.Command {
	var o stopOptions
	cmd := a.newContainerVerb("restart", "Stop containers and start them again", func(ctx context.Context, c *record.Container) error {
		if err := a.stop(ctx, c, o); err != nil {
			return err
		}
		if err := a.startMonitor(ctx, c, false); err != nil {
			return err
		}
		a.event(c, "restart", nil)
		return nil
	})
	o.addTo(cmd)
	return cmd
}

func newWaitCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "wait CONTAINER [CONTAINER...]", Short: "Wait until containers have ended, and print their exit codes", Args: args(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			var failed failures
			for _, n := range args {
				code, err := a.waitFor(cmd.Context(), n)
				if err != nil {
					failed = append(failed, err)
					continue
				}
				fmt.Fprintln(a.stdout, code)
			}
			return failed.err()
		},
	}
}

// waitFor gives the exit code of a container once it has ended.
func (a *app) waitFor(ctx context.Context, name string) (int, error) {
	c, err := a.findContainer(name)
	if err != nil {
		return 0, err
	}
	for {
		if c.Kept {
			r, err := a.ask(ctx, c, monitor.Request{Op: monitor.Wait})
			if err == nil {
				return r.Code, nil
			}
			if ctx.Err() != nil {
				return 0, err
			}
		} else if c.State.Status != record.Created {
			return c.State.ExitCode, nil
		}
		select { // it was not started yet, or ends just now
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if c, err = a.findContainer(c.ID); err != nil {
			return 0, err
		}
	}
}

func newRenameCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "rename CONTAINER NEW_NAME", Short: "Give a container another name", Args: args(2, 2), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.findContainer(args[0])
			if err != nil {
				return err
			}
			name := strings.TrimPrefix(args[1], "/")
			if !containerName.MatchString(name) {
				return fmt.Errorf("invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
			}
			f, err := a.containers()
			if err != nil {
				return err
			}
			if err := f.Rename(c, name); err != nil {
				return err
			}
			a.event(c, "rename", nil)
			return a.tellMonitor(cmd.Context(), c)
		},
	}
}

// tellMonitor has a monitor read the record again.
func (a *app) tellMonitor(ctx context.Context, c *record.Container) error {
	_, err := a.ask(ctx, c, monitor.Request{Op: monitor.Update})
	if errors.Is(err, errs.ErrConflict) {
		return nil // nobody keeps it
	}
	return err
}

type startOptions struct {
	attach, interactive bool
	detachKeys          string
	sigProxy            bool
}

func newStartCmd(a *app) *cobra.Command {
	var o startOptions
	cmd := &cobra.Command{
		Use: "start [OPTIONS] CONTAINER [CONTAINER...]", Short: "Start containers", Args: args(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.attach || o.interactive {
				if len(args) > 1 {
					return errors.New("you cannot start and attach multiple containers at once")
				}
				return a.startAttached(cmd.Context(), args[0], o)
			}
			return a.eachContainer(args, func(c *record.Container) error {
				if c.Kept && c.State.Up() {
					return nil
				}
				return a.startMonitor(cmd.Context(), c, false)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.attach, "attach", "a", false, "attach to the output")
	f.BoolVarP(&o.interactive, "interactive", "i", false, "attach to the input, too")
	f.StringVar(&o.detachKeys, "detach-keys", "", detachKeysHelp)
	f.BoolVar(&o.sigProxy, "sig-proxy", true, "pass signals on to the command")
	return cmd
}

func (a *app) startAttached(ctx context.Context, name string, o startOptions) error {
	c, err := a.findContainer(name)
	if err != nil {
		return err
	}
	l := monitor.Local{Stdout: a.stdout, Stderr: a.stderr}
	if o.interactive {
		l.Stdin = a.stdin
	}
	return a.runAttached(ctx, c, l, attachOptions{start: !(c.Kept && c.State.Up()), sigProxy: o.sigProxy, detachKeys: o.detachKeys})
}

func newAttachCmd(a *app) *cobra.Command {
	var noStdin, sigProxy bool
	var keys string
	cmd := &cobra.Command{
		Use: "attach [OPTIONS] CONTAINER", Short: "Connect to a container that runs", Args: args(1, 1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.findContainer(args[0])
			if err != nil {
				return err
			}
			switch {
			case c.State.Status == record.Paused:
				return fmt.Errorf("%s cannot attach to a paused container, unpause it first", "You")
			case !c.Kept || !c.State.Up():
				return fmt.Errorf("%s cannot attach to a stopped container, start it first", "You")
			}
			l := monitor.Local{Stdout: a.stdout, Stderr: a.stderr}
			if !noStdin {
				l.Stdin = a.stdin
			}
			if l.Stdin != nil && c.OpenStdin && c.Options.Sandbox.Terminal && !isTerminal(a.stdin) {
				return withHint(errors.New("the input device is not a TTY"), "With --no-stdin only the output is attached.")
			}
			return a.runAttached(cmd.Context(), c, l, attachOptions{sigProxy: sigProxy, detachKeys: keys})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&noStdin, "no-stdin", false, "do not attach to the input")
	f.BoolVar(&sigProxy, "sig-proxy", true, "pass signals on to the command, unless it has a terminal")
	f.StringVar(&keys, "detach-keys", "", detachKeysHelp)
	return cmd
}

type rmOptions struct{ force, volumes, link bool }

func newRmCmd(a *app) *cobra.Command {
	var o rmOptions
	cmd := &cobra.Command{
		Use: "rm [OPTIONS] CONTAINER [CONTAINER...]", Aliases: []string{"remove"}, Short: "Remove containers", Args: args(1, -1), ValidArgsFunction: a.completeContainers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.link {
				return fmt.Errorf("--link: %w: mica has no links", errs.ErrUnsupported)
			}
			err := a.eachContainer(args, func(c *record.Container) error { return a.removeContainer(cmd.Context(), c, o) })
			if o.force {
				return withoutMissing(err)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&o.force, "force", "f", false, "kill containers that run; those that are not there are no error")
	f.BoolVarP(&o.volumes, "volumes", "v", false, "remove their anonymous volumes, too")
	f.BoolVarP(&o.link, "link", "l", false, "refused: there are no links")
	must(f.MarkHidden("link"))
	return cmd
}

// withoutMissing leaves out what was not found.
func withoutMissing(err error) error {
	var all, rest failures
	if !errors.As(err, &all) {
		return err
	}
	for _, e := range all {
		if !errors.Is(e, errs.ErrNotFound) {
			rest = append(rest, e)
		}
	}
	return rest.err()
}

// removeContainer removes a container, killing it first if that is wanted.
func (a *app) removeContainer(ctx context.Context, c *record.Container, o rmOptions) error {
	m, err := a.monitor()
	if err != nil {
		return err
	}
	if c.Kept && c.State.Status != record.Exited {
		if !o.force {
			state := c.State.Status
			if state == record.Created {
				state = record.Running
			}
			return fmt.Errorf("cannot remove container \"/%s\": container is %s: stop the container before removing or force remove: %w", c.Name, state, errs.ErrConflict)
		}
		none := 0
		q := monitor.Request{Op: monitor.Stop, Timeout: &none, Signal: int(unix.SIGKILL)}
		if _, err := a.ask(ctx, c, q); err != nil && !errors.Is(err, errs.ErrConflict) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
	}
	lock, err := m.Folder.Keep(ctx, c)
	if err != nil {
		if _, again := m.Folder.Again(c); errors.Is(again, errs.ErrNotFound) {
			return nil // it was to go when it ended
		}
		return err
	}
	defer lock.Release()
	return m.Remove(c, o.volumes)
}
