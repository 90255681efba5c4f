//go:build linux

package network

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
)

// helpers connect a network namespace to the host's network without privileges,
// the best first.
var helpers = []helper{
	{
		name: "pasta",
		args: func(ns string) []string {
			return []string{
				"--config-net", "--foreground", "--quiet", "--no-map-gw", "--no-netns-quit", "--runas", "0",
				"-t", "none", "-u", "none", "-T", "none", "-U", "none", "--dns-forward", pastaDNS, "--netns", ns,
			}
		},
		dns: pastaDNS,
	},
	{
		name: "slirp4netns",
		args: func(ns string) []string {
			return []string{"--configure", "--mtu=65520", "--disable-host-loopback", "--netns-type=path", ns, "tap0"}
		},
		dns: "10.0.2.3",
	},
}

// pastaDNS is where pasta passes on questions to the host's name server: an
// address that no network uses.
const pastaDNS = "169.254.1.1"

// A helper is a program for that.
type helper struct {
	name string
	args func(ns string) []string
	dns  string // where it answers itself
}

// UserHelper finds the first helper that is installed; "" is none.
func UserHelper() (name, path string) {
	for _, h := range helpers {
		if p, err := exec.LookPath(h.name); err == nil {
			return h.name, p
		}
	}
	return "", ""
}

// User makes network namespaces for processes without privileges. The zero value
// is ready for use, and may be used concurrently.
type User struct {
	mu    sync.Mutex
	idle  []*UserNamespace
	known bool
	with  helper
	path  string
	err   error
}

// A UserNamespace is a network namespace that a helper connects.
type UserNamespace struct {
	File *os.File
	// DNS is where the helper passes on questions to the host's name server.
	DNS  netip.Addr
	stop func()
}

// Get gives a namespace. errs.ErrUnsupported says that no helper is installed.
func (u *User) Get(ctx context.Context) (*UserNamespace, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.idle); n > 0 {
		ns := u.idle[n-1]
		u.idle = u.idle[:n-1]
		return ns, nil
	}
	if u.known {
		if u.err != nil {
			return nil, u.err
		}
		return u.with.connect(ctx, u.path)
	}
	var failed []error
	for _, h := range helpers {
		path, err := exec.LookPath(h.name)
		if err != nil {
			continue
		}
		ns, err := h.connect(ctx, path)
		if ctx.Err() != nil {
			return nil, err
		}
		if err == nil {
			u.known, u.with, u.path, u.err = true, h, path, nil
			return ns, nil
		}
		failed = append(failed, err)
	}
	u.known = true
	if u.err = errors.Join(failed...); u.err == nil {
		u.err = fmt.Errorf("neither pasta (package passt) nor slirp4netns is installed: %w", errs.ErrUnsupported)
	}
	return nil, u.err
}

// Put takes a namespace back in which no process is left. With reuse it may
// serve again; that is for those whose processes could not change it.
func (u *User) Put(ns *UserNamespace, reuse bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if reuse && len(u.idle) < maxIdle {
		u.idle = append(u.idle, ns)
		return
	}
	ns.Close()
}

// Close ends the helpers of idle namespaces.
func (u *User) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, ns := range u.idle {
		ns.Close()
	}
	u.idle = nil
	return nil
}

// Close ends the helper.
func (n *UserNamespace) Close() {
	n.stop()
	n.File.Close()
}

// connect makes a namespace and waits until h has connected it.
func (h helper) connect(ctx context.Context, path string) (*UserNamespace, error) {
	file, err := emptyNamespace()
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	name, remove, err := bindNamespace(file)
	var p *helperProcess
	if err == nil {
		defer remove()
		p, err = h.start(path, name)
	}
	if err == nil {
		err = p.await(ctx, file)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("connect network namespace with %s: %w", h.name, err)
	}
	return &UserNamespace{File: file, DNS: netip.MustParseAddr(h.dns), stop: p.stop}, nil
}

// bindNamespace gives the namespace a path for a helper to open: below /proc it
// may not, since it gives up privileges first.
func bindNamespace(ns *os.File) (path string, remove func(), err error) {
	f, err := os.CreateTemp("", "mica-netns-")
	if err != nil {
		return "", nil, err
	}
	path = f.Name()
	f.Close()
	err = unix.Mount(fmt.Sprintf("/proc/self/fd/%d", ns.Fd()), path, "", unix.MS_BIND, "")
	if err != nil {
		os.Remove(path)
		return "", nil, fmt.Errorf("mount network namespace: %w", err)
	}
	return path, func() { unix.Unmount(path, unix.MNT_DETACH); os.Remove(path) }, nil
}

// emptyNamespace makes a network namespace on a thread that ends with that.
func emptyNamespace() (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends
		err := unix.Unshare(unix.CLONE_NEWNET)
		var f *os.File
		if err == nil {
			f, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		}
		done <- result{f, err}
	}()
	r := <-done
	return r.f, r.err
}

// A helperProcess is a running helper.
type helperProcess struct {
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

// start starts the helper on a thread of its own, which stays as long as it
// runs: its parent death signal follows the thread.
func (h helper) start(path, ns string) (*helperProcess, error) {
	p := &helperProcess{cmd: exec.Command(path, h.args(ns)...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
			close(p.ended)
		}
	}()
	return p, <-started
}

func (p *helperProcess) stop() {
	p.cmd.Process.Kill()
	<-p.ended
}

// connectTime is how long a helper may take.
const connectTime = 10 * time.Second

// await waits until the namespace has a default route.
func (p *helperProcess) await(ctx context.Context, ns *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	found := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			found <- err
			return
		}
		for ctx.Err() == nil && !hasRoute() {
			time.Sleep(time.Millisecond)
		}
		found <- ctx.Err()
	}()
	select {
	case err := <-found:
		if err != nil {
			p.stop()
		}
		return err
	case <-p.ended:
		cancel()
		<-found
		return errors.New(strings.TrimSpace("it ended: " + p.output.String()))
	}
}

// hasRoute says whether this thread's network namespace has a default route.
func hasRoute() bool {
	if b, err := os.ReadFile("/proc/thread-self/net/route"); err == nil {
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 2 && f[1] == "00000000" {
				return true
			}
		}
	}
	b, err := os.ReadFile("/proc/thread-self/net/ipv6_route")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 10 && f[1] == "00" && strings.Trim(f[0], "0") == "" && f[9] != "lo" && f[4] != strings.Repeat("0", 32) {
			return true
		}
	}
	return false
}
