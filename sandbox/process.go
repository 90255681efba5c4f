//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/sandbox/cgroup"
)

// A Process is a running sandbox. Its methods may be called concurrently.
type Process struct {
	r      *Runner
	proc   *os.Process
	group  *cgroup.Group // nil where there is none
	addr   netip.Prefix  // on the bridge
	nested bool          // it is in a user namespace of its own
	stdio  *stdio
	master *os.File // the terminal, if there is one
	ctx    context.Context

	cpu   *time.Duration // where the caller wants to know it
	state *os.ProcessState
	err   error // of waiting
	ended chan struct{}

	cleanup []func() error // run in reverse
	oom     func() bool
	once    sync.Once
	result  error
}

// PID is the process as the host knows it.
func (p *Process) PID() int { return p.proc.Pid }

// Addr is the process's address on the bridge, with the length of the network's
// prefix; the zero value where it has none of its own.
func (p *Process) Addr() netip.Prefix { return p.addr }

// Master is the other end of the terminal where Spec.KeepTerminal asked for it, which the
// caller closes; otherwise it is the Process's own. nil without a terminal.
func (p *Process) Master() *os.File { return p.master }

// Cgroup is the control group that the process and all it starts are in, nil if it has
// none of its own.
func (p *Process) Cgroup() *cgroup.Group { return p.group }

// Wait waits until the process has ended, all its output is written and what
// the sandbox needed is gone. The error is that of [Runner.Run]. It may be
// called more than once; the sandbox is cleaned up by Wait, so it must be called.
func (p *Process) Wait() error {
	p.once.Do(func() { p.result = p.wait() })
	return p.result
}

func (p *Process) wait() error {
	killed := false
	select {
	case <-p.ended:
	case <-p.ctx.Done():
		killed = true
		// PID 1 of the namespace: every process in it goes with it.
		p.proc.Kill()
		<-p.ended
	}
	if p.cpu != nil && p.state != nil {
		*p.cpu = p.state.UserTime() + p.state.SystemTime()
	}
	werr := p.stdio.wait()
	oom := p.oom != nil && p.oom()
	cerr := p.clean()
	if killed {
		return fmt.Errorf("process killed: %w", context.Cause(p.ctx))
	}
	if p.err != nil {
		return fmt.Errorf("wait for process: %w", p.err)
	}
	if code := exitCode(p.state); code != 0 {
		return &ExitError{Code: code, OOMKilled: oom}
	}
	return errors.Join(werr, cerr)
}

func exitCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}

// clean undoes what was set up, the last first.
func (p *Process) clean() error {
	var all []error
	for i := len(p.cleanup) - 1; i >= 0; i-- {
		all = append(all, p.cleanup[i]())
	}
	p.cleanup = nil
	return errors.Join(all...)
}

// Signal sends a signal to the process, which as PID 1 of its namespace gets
// only those it handles, and SIGKILL and SIGSTOP.
func (p *Process) Signal(sig os.Signal) error { return p.proc.Signal(sig) }

// Resize tells the terminal its size in characters. Without a terminal it does nothing.
func (p *Process) Resize(rows, cols uint16) error {
	if p.master == nil {
		return nil
	}
	c, err := p.master.SyscallConn()
	if err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	var ierr error
	err = c.Control(func(fd uintptr) {
		ierr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	if err := errors.Join(err, ierr); err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	return nil
}
