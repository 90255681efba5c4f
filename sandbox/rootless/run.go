//go:build linux

package rootless

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/sandbox/internal/inside"
)

// Options configure Run. The zero value works.
type Options struct {
	// Kind is the namespace to make; "" is the best there is.
	Kind Kind
	// Warn is told what went wrong without being an error; nil discards.
	Warn func(string)
}

// Needed says that this process cannot mount and has to be run again.
func Needed() bool { return !capable(unix.CAP_SYS_ADMIN) && Inside() == "" }

// Inside says which kind of namespace this process was put in by Run; "" is none.
func Inside() Kind {
	kind, _, _ := strings.Cut(os.Getenv(inside.NamespaceEnv), ":")
	switch k := Kind(kind); k {
	case Ranges, Single, All:
		return k
	}
	return ""
}

// Run runs this program again, with the same arguments and streams, as root of a
// new user namespace, and gives the code it exits with. The error is a *Refusal
// where the kernel does not allow it. ctx does not stop the program: signals,
// which it gets too, do.
func Run(ctx context.Context, o Options) (code int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	kind, ids, err := choose(o.Kind)
	if err != nil {
		return 0, fmt.Errorf("user namespace: %w", err)
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals)
	defer signal.Stop(signals)
	c := newChild(kind, ids)
	err = c.start()
	if err != nil && kind == Ranges && o.Kind == "" {
		if o.Warn != nil {
			o.Warn(fmt.Sprintf("no further users in the user namespace: %v", err))
		}
		c = newChild(Single, Ids{})
		err = c.start()
	}
	if err != nil {
		return 0, explain(err)
	}
	return c.supervise(signals)
}

// choose finds the namespace that want, "" being the best, comes to.
func choose(want Kind) (Kind, Ids, error) {
	root := os.Geteuid() == 0 && capable(unix.CAP_SETUID) && capable(unix.CAP_SETGID)
	if want == All || want == "" && root {
		return All, Ids{}, nil
	}
	if want == Single {
		return Single, Ids{}, nil
	}
	ids, err := Lookup()
	if err != nil {
		return "", ids, err
	}
	if want == "" && !ids.Complete() {
		return Single, ids, nil
	}
	if !ids.Complete() {
		return "", ids, errNoRanges
	}
	return Ranges, ids, nil
}

var errNoRanges = errors.New("there are no subordinate ids for this user in /etc/subuid and /etc/subgid, or newuidmap is missing")

// A child is the program in its namespace.
type child struct {
	kind  Kind
	ids   Ids
	args  []string
	files []*os.File
	proc  *os.Process
	state *os.ProcessState
	ended chan error
}

func newChild(kind Kind, ids Ids) *child {
	return &child{
		kind: kind, ids: ids, args: os.Args, files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		ended: make(chan error, 1),
	}
}

// Try makes a namespace with nothing in it, and says of which kind. The error is
// as that of Run.
func Try() (Kind, error) {
	kind, ids, err := choose("")
	if err != nil {
		return "", fmt.Errorf("user namespace: %w", err)
	}
	c := newChild(kind, ids)
	c.args, c.files = []string{inside.TryArg0}, []*os.File{nil, nil, nil}
	if err := c.start(); err != nil {
		return "", explain(err)
	}
	return kind, <-c.ended
}

// start starts the program, which waits until its users are mapped.
func (c *child) start() (err error) {
	attr := &os.ProcAttr{
		Files: c.files,
		Env:   append(os.Environ(), fmt.Sprintf("%s=%s:%d", inside.NamespaceEnv, c.kind, os.Getpid())),
		Sys:   &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL},
	}
	switch c.kind {
	case Single:
		attr.Sys.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.Sys.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	case All:
		attr.Sys.GidMappingsEnableSetgroups = true
		if attr.Sys.UidMappings, err = ownMap("/proc/self/uid_map"); err != nil {
			return err
		}
		if attr.Sys.GidMappings, err = ownMap("/proc/self/gid_map"); err != nil {
			return err
		}
	case Ranges:
		return c.startMapped(attr)
	}
	return c.spawn(c.args, attr)
}

// startMapped starts the program in an empty namespace and lets the helpers map
// users before it goes on.
func (c *child) startMapped(attr *os.ProcAttr) error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	r, w := os.NewFile(uintptr(p[0]), "ready"), os.NewFile(uintptr(p[1]), "ready")
	defer r.Close()
	defer w.Close()
	// It keeps its number, so that descriptors the caller passes on keep theirs.
	if _, err := unix.FcntlInt(r.Fd(), unix.F_SETFD, 0); err != nil {
		return err
	}
	args := append([]string{inside.NamespaceArg0, strconv.Itoa(p[0])}, c.args...)
	if err := c.spawn(args, attr); err != nil {
		return err
	}
	err := c.ids.apply(c.proc.Pid)
	if err == nil {
		_, err = w.Write([]byte{1})
	}
	if err != nil {
		c.proc.Kill()
		<-c.ended
		return err
	}
	return nil
}

// spawn starts the process on a thread of its own, which lives as long as it:
// the parent death signal follows the thread.
func (c *child) spawn(args []string, attr *os.ProcAttr) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var err error
		c.proc, err = os.StartProcess("/proc/self/exe", args, attr)
		started <- err
		if err != nil {
			return
		}
		c.state, err = c.proc.Wait()
		c.ended <- err
	}()
	return <-started
}

// supervise passes signals on until the program has ended.
func (c *child) supervise(signals <-chan os.Signal) (int, error) {
	for {
		select {
		case s := <-signals:
			if passedOn(s.(syscall.Signal)) {
				c.proc.Signal(s)
			}
		case err := <-c.ended:
			if err != nil {
				return 0, err
			}
			if ws := c.state.Sys().(syscall.WaitStatus); ws.Signaled() {
				return 128 + int(ws.Signal()), nil
			}
			return c.state.ExitCode(), nil
		}
	}
}

// passedOn says whether the program does not get the signal by itself. What the
// keyboard sends goes to the whole foreground process group.
func passedOn(s syscall.Signal) bool {
	switch s {
	case unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
		return false
	case unix.SIGINT, unix.SIGQUIT:
		return !foreground()
	}
	return true
}

// foreground says whether the keyboard's signals come here.
func foreground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
