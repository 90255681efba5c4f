//go:build linux

package inside

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Is says whether this process was started to be a sandbox.
func Is() bool { return len(os.Args) == 1 && os.Args[0] == Arg0 }

// Main never returns: it becomes the command, or reports why not and exits.
func Main() {
	runtime.LockOSThread()
	control := os.NewFile(controlFD, "control")
	unix.CloseOnExec(controlFD)
	c, err := readConfig(control)
	if err == nil {
		err = become(c)
	}
	report(err)
	os.Exit(125)
}

// An exitCode is an error for which the user expects a certain exit code.
type exitCode struct {
	code byte
	err  error
}

func (e *exitCode) Error() string { return e.err.Error() }
func (e *exitCode) Unwrap() error { return e.err }

func report(err error) {
	msg := []byte{MsgError, 0}
	var x *exitCode
	if errors.As(err, &x) {
		msg[1] = x.code
	}
	unix.Write(controlFD, append(msg, err.Error()...))
}

// readConfig reads a Config preceded by its length. The end of the stream
// before that means that the parent is gone.
func readConfig(r io.Reader) (*Config, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, fmt.Errorf("read sandbox configuration: %w", err)
	}
	n := int(size[0]) | int(size[1])<<8 | int(size[2])<<16 | int(size[3])<<24
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("read sandbox configuration: %w", err)
	}
	c := new(Config)
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("read sandbox configuration: %w", err)
	}
	return c, nil
}

// become turns this process into the command of c.
func become(c *Config) error {
	if err := closeOnExec(); err != nil {
		return err
	}
	// What the sandbox makes has exactly the mode asked for.
	unix.Umask(0)
	w := &world{c: c}
	if c.Enter != 0 {
		return join(w)
	}
	steps := []step{
		{"set oom score", func() error { return setOOMScore(c) }},
		{"set up network", func() error { return setupNet(&c.Net) }},
		{"set up mounts", w.build},
		{"set hostname", func() error { return sethostname(c) }},
		{"set up terminal", w.terminal},
		{"enter root", w.enter},
		{"join session keyring", joinKeyring},
		{"set resource limits", func() error { return setRlimits(c.Rlimits) }},
		{"give up privileges", func() error { return dropPrivileges(c) }},
	}
	if err := do(steps); err != nil {
		return err
	}
	return execute(c)
}

// A step is one part of becoming a command.
type step struct {
	name string
	do   func() error
}

func do(steps []step) error {
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func sethostname(c *Config) error {
	if c.Domainname != "" {
		if err := unix.Setdomainname([]byte(c.Domainname)); err != nil {
			return fmt.Errorf("domain name: %w", err)
		}
	}
	return unix.Sethostname([]byte(c.Hostname))
}

// setOOMScore says how soon the kernel kills the process for want of memory.
func setOOMScore(c *Config) error {
	if c.OOMScoreAdj == 0 {
		return nil
	}
	return os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(c.OOMScoreAdj)), 0)
}

// joinKeyring gives the command a new, anonymous session keyring. A kernel
// without keyrings, or a filter above us, is no reason to stop.
func joinKeyring() error {
	_, _, e := unix.RawSyscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
	if e != 0 && e != unix.ENOSYS && e != unix.EPERM {
		return e
	}
	return nil
}

// closeOnExec makes sure that nothing but the standard streams is inherited by
// the command, whatever the parent leaked.
func closeOnExec() error {
	err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	if err == nil {
		return nil
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, d := range fds {
		var fd int
		if _, err := fmt.Sscan(d.Name(), &fd); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
