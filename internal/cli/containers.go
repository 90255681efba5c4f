package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mica-build/mica/container"
	"github.com/mica-build/mica/container/monitor"
	"github.com/mica-build/mica/container/network"
	"github.com/mica-build/mica/container/publish"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/container/volume"
	"github.com/mica-build/mica/sandbox"
	bridge "github.com/mica-build/mica/sandbox/network"
)

// containers gives the containers of the store.
func (a *app) containers() (*record.Folder, error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	return record.NewFolder(s), nil
}

// volumes gives the volumes of the store.
func (a *app) volumes() (*volume.Folder, error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	return volume.NewFolder(s), nil
}

// findContainer finds a container by name, ID or the beginning of one.
func (a *app) findContainer(name string) (*record.Container, error) {
	f, err := a.containers()
	if err != nil {
		return nil, err
	}
	return f.Find(name)
}

// monitor makes what keeps containers.
func (a *app) monitor() (*monitor.Monitor, error) {
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	box := a.sandbox()
	mounter := newMounter(s)
	return &monitor.Monitor{
		Folder: record.NewFolder(s), Volumes: volume.NewFolder(s), Sandbox: box,
		Container: func(start func(context.Context, *sandbox.Spec) error) *container.Runner {
			return &container.Runner{Store: s, Mounter: mounter, Sandbox: start}
		},
		Publish: func(ports []record.Port, pid int, to netip.Addr) (monitor.Publication, error) {
			return publish.Open(ports, pid, to)
		},
		Link: func(name string) (*bridge.Bridge, error) {
			f := network.NewFolder(s)
			n, err := f.Find(name)
			if err != nil {
				return nil, err
			}
			return f.Bridge(n), nil
		},
		Event: a.event,
		Log:   slog.New(slog.NewTextHandler(a.stderr, nil)),
	}, nil
}

// monitorVerb is the hidden command that keeps a container in the background.
const monitorVerb = "keep-container"

// newMonitorCmd is what startMonitor runs.
func newMonitorCmd(a *app) *cobra.Command {
	var wait, sharedProc bool
	cmd := &cobra.Command{
		Use:    monitorVerb + " ID",
		Short:  "Keep a container, as run -d has it done",
		Hidden: true,
		Args:   args(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.steps.sharedProc = sharedProc
			ready := os.NewFile(readyFD, "ready")
			syscall.CloseOnExec(readyFD)
			m, err := a.monitor()
			if err != nil {
				return err
			}
			c, err := a.findContainer(args[0])
			if err == nil {
				freeMemory()
				err = m.Run(cmd.Context(), c, monitor.Options{Wait: wait, Ready: func(err error) {
					_ = json.NewEncoder(ready).Encode(monitor.Failed(err))
					ready.Close()
					freeMemory()
				}})
			}
			var exit *sandbox.ExitError
			if errors.As(err, &exit) {
				return nil // it is on record
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "begin when somebody is attached")
	cmd.Flags().BoolVar(&sharedProc, "shared-proc", false, "as --isolation=shared-proc")
	return cmd
}

// readyFD is where a monitor says how starting went.
const readyFD = 3

// startMonitor starts a process that keeps c and outlives this one. With wait it returns
// when that listens, otherwise when the container runs.
func (a *app) startMonitor(ctx context.Context, c *record.Container, wait bool) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	logs, err := os.OpenFile(filepath.Join(c.Dir(), "monitor.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		w.Close()
		return err
	}
	defer logs.Close()
	root, err := filepath.Abs(a.root)
	if err != nil {
		w.Close()
		return err
	}
	cmd := exec.Command("/proc/self/exe", "--root", root, monitorVerb, c.ID)
	cmd.Args[0] = "mica"
	if wait {
		cmd.Args = append(cmd.Args, "--wait")
	}
	if a.steps.sharedProc {
		cmd.Args = append(cmd.Args, "--shared-proc")
	}
	if a.durable {
		cmd.Args = append(cmd.Args, "--durable")
	}
	cmd.Env = append(os.Environ(), "GOMEMLIMIT=24MiB", "GOGC=50")
	cmd.Dir, cmd.Stderr, cmd.ExtraFiles = "/", logs, []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("start the container's monitor: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	stop := context.AfterFunc(ctx, func() { r.Close() })
	defer stop()
	var reply monitor.Reply
	if err := json.NewDecoder(r).Decode(&reply); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		said, _ := os.ReadFile(logs.Name())
		return fmt.Errorf("the container's monitor ended: %w: %s", io.ErrUnexpectedEOF, strings.TrimSpace(string(said)))
	}
	return exitError(reply.Err())
}

// exitError gives an error of a monitor the exit code that docker has for it.
func exitError(err error) error {
	var m *monitor.Error
	if errors.As(err, &m) && m.Code != 0 {
		return withCode(m.Code, err)
	}
	return err
}
