package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/mica-build/mica/container/monitor"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
)

type execOptions struct {
	detach, interactive, tty, privileged bool
	env, envFiles                        []string
	user, workdir, detachKeys            string
}

func newExecCmd(a *app) *cobra.Command {
	var o execOptions
	cmd := &cobra.Command{
		Use: "exec [OPTIONS] CONTAINER COMMAND [ARG...]", Short: "Run a command in a container that runs", Args: args(2, -1), ValidArgsFunction: a.completeContainers,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.exec(cmd.Context(), o, args[0], args[1:])
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false)
	f.BoolVarP(&o.detach, "detach", "d", false, "run in the background")
	f.BoolVarP(&o.interactive, "interactive", "i", false, "connect standard input")
	f.BoolVarP(&o.tty, "tty", "t", false, "give the command a terminal")
	f.BoolVar(&o.privileged, "privileged", false, "give all capabilities")
	f.StringArrayVarP(&o.env, "env", "e", nil, "environment variable, `NAME=VALUE`, or NAME to pass it on")
	f.StringArrayVar(&o.envFiles, "env-file", nil, "`file` with environment variables, one a line")
	f.StringVarP(&o.user, "user", "u", "", "user, `name|uid[:group|gid]`")
	f.StringVarP(&o.workdir, "workdir", "w", "", "working directory")
	f.StringVar(&o.detachKeys, "detach-keys", "", detachKeysHelp)
	return cmd
}

func (a *app) exec(ctx context.Context, o execOptions, name string, command []string) error {
	keys, err := parseDetachKeys(o.detachKeys)
	if err != nil {
		return err
	}
	c, err := a.findContainer(name)
	if err != nil {
		return err
	}
	if !c.Kept || !c.State.Up() {
		return fmt.Errorf("container %s is not running: %w", c.ID, errs.ErrConflict)
	}
	if o.tty && o.interactive && !o.detach && !isTerminal(a.stdin) {
		return withHint(errors.New("the input device is not a TTY"), "Leave -t away where there is no terminal.")
	}
	p := &monitor.Process{
		Args: command, Dir: o.workdir, User: o.user, Privileged: o.privileged, Terminal: o.tty, Detach: o.detach,
	}
	if p.Env, err = runEnvOnly(o.envFiles, o.env); err != nil {
		return err
	}
	conn, err := monitor.Dial(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	if o.tty && !o.detach {
		return a.execTerminal(ctx, conn, p, o, keys)
	}
	files, closeAll, err := a.execFiles(o)
	if err != nil {
		return err
	}
	r, _, err := conn.Ask(ctx, monitor.Request{Op: monitor.Exec, Exec: p}, files...)
	closeAll()
	return execResult(r, err)
}

// execResult is the command's exit code, or why it could not be started.
func execResult(r monitor.Reply, err error) error {
	var m *monitor.Error
	switch {
	case errors.As(err, &m) && m.Code != 0:
		return withCode(m.Code, err)
	case err != nil:
		return err
	case r.Code != 0:
		return withCode(r.Code, nil)
	}
	return nil
}

// execFiles are the streams that the command gets, as open files.
func (a *app) execFiles(o execOptions) (files []*os.File, closeAll func(), err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	files = []*os.File{null, null, null}
	if !o.detach {
		if f, ok := a.stdin.(*os.File); ok && o.interactive {
			files[0] = f
		}
		for i, w := range []io.Writer{a.stdout, a.stderr} {
			if f, ok := w.(*os.File); ok {
				files[i+1] = f
			}
		}
	}
	return files, func() { null.Close() }, nil
}

// execTerminal connects the user's terminal with the one that the command has got.
func (a *app) execTerminal(ctx context.Context, conn *monitor.Conn, p *monitor.Process, o execOptions, keys []byte) error {
	out, outOK := terminalFile(a.stdout)
	if outOK {
		if cols, rows, err := term.GetSize(int(out.Fd())); err == nil {
			p.Rows, p.Cols = uint16(rows), uint16(cols)
		}
	}
	r, files, err := conn.Ask(ctx, monitor.Request{Op: monitor.Exec, Exec: p})
	if err != nil {
		return execResult(r, err)
	}
	if len(files) != 1 {
		return fmt.Errorf("exec: %w: no terminal came", errs.ErrInvalid)
	}
	master := files[0]
	defer master.Close()
	detached := make(chan struct{})
	if o.interactive {
		if f, ok := terminalFile(a.stdin); ok {
			state, err := term.MakeRaw(int(f.Fd()))
			if err != nil {
				return fmt.Errorf("raw mode: %w", err)
			}
			defer func() { _ = term.Restore(int(f.Fd()), state) }()
		}
		in := &detacher{r: a.stdin, keys: keys, detach: func() { close(detached) }}
		go func() { _, _ = io.Copy(master, in) }()
	}
	if outOK {
		defer followTerminal(master, out)()
	}
	copied := make(chan struct{})
	go func() { _, _ = io.Copy(a.stdout, master); close(copied) }()
	ended := make(chan error, 1)
	go func() {
		var err error
		r, err = conn.Next(ctx)
		ended <- err
	}()
	select {
	case err := <-ended:
		<-copied
		return execResult(r, err)
	case <-detached:
		return nil
	}
}

// followTerminal keeps a terminal at the size of another one.
func followTerminal(master, out *os.File) (stop func()) {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-changed:
			case <-done:
				return
			}
			if cols, rows, err := term.GetSize(int(out.Fd())); err == nil {
				_ = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(cols)})
			}
		}
	}()
	return func() { signal.Stop(changed); close(done) }
}

// completeContainers offers the names of containers.
func (a *app) completeContainers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	f, err := a.containers()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	list, err := f.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return containerNames(list), cobra.ShellCompDirectiveNoFileComp
}

func containerNames(list []*record.Container) []string {
	var names []string
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}
