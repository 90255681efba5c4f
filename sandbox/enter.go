//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// joined is a namespace that a process is started in.
type joined struct {
	f    *os.File
	kind int // CLONE_NEW…
}

// Enter starts another process in the sandbox of p: in its namespaces, with its root,
// its mounts and its control group (docker exec). Of s, what describes the world is not
// looked at: Root, Hostname, Mounts, Network and limits are p's. It ends with p, or with
// ctx; the caller must call Wait.
func (p *Process) Enter(ctx context.Context, s *Spec) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("enter sandbox: %w", context.Cause(ctx))
	}
	if p.nested {
		return nil, fmt.Errorf("enter sandbox: %w: a user namespace with one user cannot be joined; subordinate ids are needed (docs/rootless.md)", errs.ErrUnsupported)
	}
	root, err := p.Root()
	if err != nil {
		return nil, fmt.Errorf("enter sandbox: %w", err)
	}
	defer root.Close()
	inner := *s
	inner.Root = root
	if err := inner.check(); err != nil {
		return nil, fmt.Errorf("enter sandbox: %w", err)
	}
	l := newLaunch(ctx, p.r, &inner)
	if err := l.enter(p); err != nil {
		return nil, errors.Join(err, l.p.clean())
	}
	return l.p, nil
}

// Root opens the root directory that the process sees, with all its mounts. What is
// below it is the process's to change: paths are to be walked with care.
func (p *Process) Root() (*os.File, error) {
	select {
	case <-p.ended:
		return nil, fmt.Errorf("root of process %d: %w", p.PID(), os.ErrProcessDone)
	default:
	}
	return os.OpenFile("/proc/"+strconv.Itoa(p.PID())+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

func (l *launch) enter(p *Process) error {
	// The parent death signal comes later: package syscall takes a parent in another
	// pid namespace for a dead one.
	l.attr.Sys = &syscall.SysProcAttr{Setsid: true}
	defer l.closeFiles()
	l.group = p.group
	for _, step := range []func() error{
		l.fillUser, l.stand, l.fillLimits, l.fillSecurity, l.fillRootFD, func() error { return l.fillJoined(p) }, l.fillEntered,
	} {
		if err := step(); err != nil {
			return fmt.Errorf("run %s: %w", l.s.Args[0], err)
		}
	}
	return l.spawn()
}

// fillRootFD gives the process a descriptor in the place of a root, which it does not use.
func (l *launch) fillRootFD() (err error) {
	fd, err := unix.FcntlInt(l.s.Root.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err == nil {
		l.root = os.NewFile(uintptr(fd), l.s.Root.Name())
	}
	return err
}

// fillJoined opens p's namespaces. That p still runs afterwards says that they are its.
func (l *launch) fillJoined(p *Process) error {
	dir := "/proc/" + strconv.Itoa(p.PID()) + "/ns/"
	for name, kind := range map[string]int{
		"ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS, "net": unix.CLONE_NEWNET,
		"pid": unix.CLONE_NEWPID, "cgroup": unix.CLONE_NEWCGROUP, "mnt": unix.CLONE_NEWNS,
	} {
		f, err := os.Open(dir + name)
		if err != nil {
			return err
		}
		if sameNamespace(f, name) { // without privileges one may not even enter one's own
			f.Close()
			continue
		}
		if kind == unix.CLONE_NEWNS {
			l.config.Enter = l.addFile(f)
			continue
		}
		l.joined = append(l.joined, joined{f, kind})
		l.later(f.Close)
	}
	if d := l.group; d != nil && d.Dir() != nil {
		l.attr.Sys.UseCgroupFD, l.attr.Sys.CgroupFD = true, int(d.Dir().Fd())
	}
	select {
	case <-p.ended:
		return os.ErrProcessDone
	default:
		return nil
	}
}

// sameNamespace says whether a namespace is the one that this process is in.
func sameNamespace(f *os.File, name string) bool {
	var there, here unix.Stat_t
	return unix.Fstat(int(f.Fd()), &there) == nil && unix.Stat("/proc/self/ns/"+name, &here) == nil && there.Ino == here.Ino
}

// fillEntered says what the process is, in a world that is there.
func (l *launch) fillEntered() error {
	c, s := &l.config, l.s
	c.Args, c.Dir, c.Env = s.Args, s.Dir, withoutEmptyHome(s.Env)
	c.Terminal, c.Rows, c.Cols = s.Terminal, s.Rows, s.Cols
	if err := l.p.stdio.open(s); err != nil {
		l.p.stdio.abort()
		return err
	}
	return nil
}

// join takes this thread into the namespaces.
func (l *launch) join() error {
	for _, n := range l.joined {
		if err := unix.Setns(int(n.f.Fd()), n.kind); err != nil {
			return fmt.Errorf("join %s: %w", n.f.Name(), err)
		}
	}
	return nil
}
