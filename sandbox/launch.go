//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/sandbox/cgroup"
	"github.com/mica-build/mica/sandbox/internal/inside"
)

// A launch is a sandbox being started.
type launch struct {
	r      *Runner
	s      *Spec
	p      *Process
	id     *identity
	config inside.Config
	files  []*os.File // given to the child from inside.FirstFD on
	root   *os.File   // the root as given to the child
	attr   os.ProcAttr
	stubs  stubs
	group  *cgroup.Group // nil where there is none

	standing
	joined   []joined // namespaces to start the process in; see Enter
	netns    *os.File // what the process starts in, nil for the host's
	nested   bool     // the process gets a user namespace of its own
	attached []string // see pathFor
}

// Start starts s. An error says that there is no process; one for a command
// that cannot be executed is an *ExitError. The caller must call Wait.
func (r *Runner) Start(ctx context.Context, s *Spec) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run: %w", context.Cause(ctx))
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	l := newLaunch(ctx, r, s)
	if err := l.start(); err != nil {
		if cerr := l.p.clean(); cerr != nil {
			r.log().Warn("clean up sandbox", "error", cerr)
		}
		return nil, err
	}
	return l.p, nil
}

func newLaunch(ctx context.Context, r *Runner, s *Spec) *launch {
	l := &launch{r: r, s: s, p: &Process{r: r, ctx: ctx, cpu: s.CPUTime, stdio: new(stdio), ended: make(chan struct{})}}
	l.stubs.root = s.Root
	return l
}

func (l *launch) start() error {
	l.attr.Sys = &syscall.SysProcAttr{
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	defer l.closeFiles()
	defer l.detach()
	for _, step := range []func() error{
		l.fillUser, l.stand, l.fillRoot, l.fillMounts, l.fillLimits, l.fillSecurity, l.fillCgroup, l.fillNetwork, l.fillRest,
	} {
		if err := step(); err != nil {
			return fmt.Errorf("run %s: %w", l.s.Args[0], err)
		}
	}
	return l.spawn()
}

// addFile gives f to the child and says as which descriptor. It is closed
// when the child has it.
func (l *launch) addFile(f *os.File) int {
	l.files = append(l.files, f)
	return inside.FirstFD + len(l.files) - 1
}

func (l *launch) closeFiles() {
	for _, f := range l.files {
		f.Close()
	}
	if l.root != nil {
		l.root.Close()
	}
}

// later adds to what is undone when the process has ended.
func (l *launch) later(f func() error) { l.p.cleanup = append(l.p.cleanup, f) }

func (l *launch) fillUser() (err error) {
	if l.id, err = lookupUser(l.s.Root, l.s.User, l.s.Groups); err != nil {
		return err
	}
	c := &l.config
	c.UID, c.GID, c.Groups, c.Home = l.id.uid, l.id.gid, l.id.groups, l.id.home
	c.HasHome = slices.ContainsFunc(l.s.Env, func(v string) bool { return strings.HasPrefix(v, "HOME=") && v != "HOME=" })
	return nil
}

func (l *launch) fillRoot() (err error) {
	if l.nested {
		return l.fillNested()
	}
	if l.root, _, err = cloneTree(l.s.Root, false); err != nil {
		return fmt.Errorf("root filesystem: %w", explainMount(err))
	}
	return nil
}

// explainMount names what an unprivileged caller lacks.
func explainMount(err error) error {
	if os.Geteuid() != 0 && os.IsPermission(err) {
		return fmt.Errorf("%w (mounting needs root, or rootless mode)", err)
	}
	return err
}

// fillMounts makes the mount points in the root, in the order of mounting.
func (l *launch) fillMounts() error {
	l.later(l.stubs.remove)
	for _, d := range []string{"/proc", "/dev", "/sys"} {
		if err := l.stubs.add(d, false, true); err != nil {
			return err
		}
	}
	for _, f := range []string{"/etc/hosts", "/etc/resolv.conf"} {
		if err := l.stubs.add(f, true, false); err != nil {
			return err
		}
	}
	for i := range l.s.Mounts {
		if err := l.addMount(&l.s.Mounts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *launch) fillRest() (err error) {
	c, s := &l.config, l.s
	c.Args, c.Dir, c.SharedProc = s.Args, s.Dir, l.r.SharedProc
	c.Env = withoutEmptyHome(s.Env)
	c.Hostname, c.ReadonlyRoot, c.Insecure, c.Terminal = s.hostname(), s.ReadonlyRoot, s.Insecure, s.Terminal
	if c.ShmSize = s.ShmSize; c.ShmSize == 0 {
		c.ShmSize = 64 << 20
	}
	c.Rows, c.Cols = s.Rows, s.Cols
	c.Sysctls, c.OOMScoreAdj, c.Domainname = s.Sysctls, s.OOMScoreAdj, s.Domainname
	if s.Init {
		init, err := l.r.exe.open()
		if err != nil {
			return err
		}
		c.Init = l.addFile(init)
	}
	if err := l.fillCA(); err != nil {
		return err
	}
	if err := l.fillFiles(); err != nil {
		return err
	}
	if err := l.p.stdio.open(s); err != nil {
		l.p.stdio.abort()
		return err
	}
	return nil
}

// withoutEmptyHome is env: an empty HOME counts as none, as in runc.
func withoutEmptyHome(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool { return v == "HOME=" })
}

// enterNetwork makes this thread's network the one the process starts in. A
// process in a user namespace of its own could not enter it.
func (l *launch) enterNetwork() error {
	if l.netns == nil {
		return nil
	}
	if err := unix.Setns(int(l.netns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}

// spawn starts the process on a thread of its own, which stays until the
// process has ended: the parent death signal follows the thread, not us.
func (l *launch) spawn() error {
	control, theirs, err := controlPair()
	if err != nil {
		return fmt.Errorf("run %s: %w", l.s.Args[0], err)
	}
	defer control.Close()
	exe, err := l.r.exe.open()
	if err != nil {
		theirs.Close()
		return fmt.Errorf("run %s: %w", l.s.Args[0], err)
	}
	defer exe.Close()
	l.attr.Files = append(slices.Clone(l.p.stdio.child), theirs, l.root)
	l.attr.Files = append(l.attr.Files, l.files...)
	l.attr.Files = append(l.attr.Files, exe)
	l.attr.Env = []string{"GOGC=off", "GOMAXPROCS=1"}
	path := fmt.Sprintf("/proc/self/fd/%d", len(l.attr.Files)-1)

	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := errors.Join(l.enterNetwork(), l.join())
		if l.netns == nil && l.joined == nil {
			defer runtime.UnlockOSThread() // else the thread ends
		}
		if err != nil {
			started <- err
			return
		}
		l.p.proc, err = os.StartProcess(path, []string{inside.Arg0}, &l.attr)
		started <- err
		if err != nil {
			return
		}
		l.p.state, l.p.err = l.p.proc.Wait()
		close(l.p.ended)
	}()
	err = <-started
	theirs.Close()
	if err != nil {
		l.p.stdio.abort()
		return fmt.Errorf("run %s: start sandbox: %w", l.s.Args[0], explainMount(err))
	}
	l.p.stdio.run()
	if err := l.converse(control); err != nil {
		l.p.proc.Kill()
		<-l.p.ended
		l.p.stdio.wait()
		return err
	}
	return nil
}
