//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox/cgroup"
	"github.com/mica-build/mica/sandbox/internal/inside"
	"github.com/mica-build/mica/sandbox/network"
)

// Init must be the first thing in main (and in TestMain): in the process that
// is to become a sandbox it does not return. Otherwise it does nothing. (It is
// here for the reader and the linker: package inside does not wait for it.)
func Init() {
	if inside.Is() {
		inside.Main()
	}
}

// A Runner starts sandboxes. The zero value is ready for use.
type Runner struct {
	// StateDir holds the state of the bridge network, shared between processes;
	// "" is /run/mica. It is made when needed.
	StateDir string
	// Log receives what is worth knowing but no error; nil discards.
	Log *slog.Logger
	// Rootless runs without privileges: in a user namespace that knows one user
	// and group, those of the Spec, who are the caller outside. Bridge is the
	// host's network then. Root and the sources of mounts must have a path.
	//
	// A Runner whose program is root of a user namespace (package rootless) finds
	// that out by itself. Bridge is then what pasta or slirp4netns make, or, with
	// a notice, the host's network; limits need a delegated cgroup.
	Rootless bool
	// SharedProc shows the process the /proc that this one sees instead of its
	// own, with all processes in it, though it can send signals to its own only.
	// A container that hides parts of its /proc allows no new one.
	SharedProc bool
	// CABundle are certificates (PEM) that the process's TLS libraries trust
	// besides those of the root. Nothing of them stays in the root.
	CABundle []byte

	exe     readonlyExe
	cgroups cgroup.Manager
	filters filters
	bridge  bridge
	user    network.User
	notices notices
}

func (r *Runner) log() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}

// Run runs s and waits for its end. An exit code other than 0 is an
// *ExitError; so is a command that cannot be started (127 when it is not found,
// 126 when it cannot be executed). When ctx ends first, every process of the
// sandbox is killed and the error wraps context.Cause(ctx).
func (r *Runner) Run(ctx context.Context, s *Spec) error {
	p, err := r.Start(ctx, s)
	if err != nil {
		return err
	}
	return p.Wait()
}

// check finds what no kernel call would explain well.
func (s *Spec) check() error {
	switch {
	case s.Root == nil:
		return errors.New("no root filesystem")
	case len(s.Args) == 0 || s.Args[0] == "":
		return fmt.Errorf("no command: %w", errs.ErrInvalid)
	case s.Dir != "" && s.Dir[0] != '/':
		return fmt.Errorf("working directory %q is not absolute: %w", s.Dir, errs.ErrInvalid)
	}
	for _, m := range s.Mounts {
		if m.Target == "" || m.Target[0] != '/' {
			return fmt.Errorf("mount target %q is not absolute: %w", m.Target, errs.ErrInvalid)
		}
	}
	return nil
}
