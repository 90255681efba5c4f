//go:build linux

package monitor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/moby/sys/signal"
	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/container"
	"github.com/mica-build/mica/container/jsonlog"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/container/volume"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/sandbox/network"
)

// A Monitor keeps containers, one for each call of Run. Its fields are set before.
type Monitor struct {
	Folder  *record.Folder
	Volumes *volume.Folder
	// Run runs an image with options; start is to run what it has prepared.
	Container func(start func(context.Context, *sandbox.Spec) error) *container.Runner
	Sandbox   *sandbox.Runner
	// Publish makes the ports of a running container reachable; nil if there are none.
	Publish func(ports []record.Port, pid int, to netip.Addr) (Publication, error)
	// Link gives the bridge of a user network.
	Link func(name string) (*network.Bridge, error)
	// Event is told what happens to the container; nil is silence.
	Event func(c *record.Container, action string, attributes map[string]string)
	Log   *slog.Logger // nil discards
}

// A Publication is ports that are reachable until it is closed.
type Publication interface {
	Ports() []record.Port
	Close() error
}

// A Foreground connects this process to the container that it keeps.
type Foreground struct {
	Stdin          io.Reader // nil for none
	Stdout, Stderr io.Writer
	// Terminal, if the container has one, is told once it is there.
	Running func(p *sandbox.Process)
}

// Options say how Run runs. The zero value is in the background.
type Options struct {
	Foreground *Foreground
	// Wait begins when somebody is attached who says so (Streams.Start).
	Wait bool
	// Ready is called once: when the container runs, when it is known why it does not,
	// or, with Wait, when the monitor listens. It may be nil.
	Ready func(error)
}

// A keeper is one container that is kept.
type keeper struct {
	m *Monitor
	o Options
	c *record.Container

	hub      *hub
	listen   *net.UnixListener
	ready    sync.Once
	begin    chan struct{} // closed when it may start
	starting sync.Once
	ended    chan struct{} // closed when it will not run any more
	served   sync.WaitGroup

	mu      sync.Mutex
	proc    *sandbox.Process // while it runs
	tree    *os.File         // its root without mounts, while it runs
	changed chan struct{}    // closed when proc or state changes
	stopped bool             // by the user
	result  error            // of the last run, once ended
}

// Run keeps the container c until it has ended and is not to be started again. The error
// is that of its last run, as of [sandbox.Runner.Run]; errs.ErrConflict if another process
// keeps it.
func (m *Monitor) Run(ctx context.Context, c *record.Container, o Options) error {
	k := &keeper{
		m: m, o: o, c: c,
		begin: make(chan struct{}), ended: make(chan struct{}), changed: make(chan struct{}),
	}
	err := k.run(ctx)
	k.tellReady(err)
	return err
}

func (k *keeper) tellReady(err error) {
	k.ready.Do(func() {
		if k.o.Ready != nil {
			k.o.Ready(err)
		}
	})
}

func (k *keeper) run(ctx context.Context) (err error) {
	lock, err := k.m.Folder.Keep(ctx, k.c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	// It may have changed while we waited.
	if k.c, err = k.m.Folder.Again(k.c); err != nil {
		return err
	}
	logs, err := k.openLog()
	if err != nil {
		return err
	}
	if logs != nil {
		defer logs.Close()
	}
	k.hub = newHub(logs)
	if k.listen, err = k.openSocket(); err != nil {
		return err
	}
	go k.accept()
	defer k.close()
	if k.o.Wait {
		k.tellReady(nil)
		select {
		case <-k.begin:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return k.keep(ctx)
}

func (k *keeper) openLog() (*jsonlog.Log, error) {
	if k.c.Log.Driver == "none" {
		return nil, nil
	}
	return jsonlog.Open(k.c.LogPath(), jsonlog.Options{MaxSize: k.c.Log.MaxSize, MaxFile: k.c.Log.MaxFile})
}

// keep runs the container, and again as its restart policy wants it.
func (k *keeper) keep(ctx context.Context) error {
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, time.Minute) {
		began := time.Now()
		err := k.once(ctx)
		if time.Since(began) > 10*time.Second {
			delay = 100 * time.Millisecond
		}
		if !k.again(ctx, err) {
			k.finish(err)
			return err
		}
		k.change(func(s *record.State) {
			s.Status = record.Restarting
			s.Restarts++
		})
		select {
		case <-time.After(delay):
		case <-k.stopping():
			k.change(func(s *record.State) { s.Status = record.Exited })
			k.finish(err)
			return err
		case <-ctx.Done():
			k.finish(err)
			return context.Cause(ctx)
		}
	}
}

// stopping is closed soon after the user stopped the container.
func (k *keeper) stopping() <-chan struct{} {
	c := make(chan struct{})
	go func() {
		defer close(c)
		for {
			k.mu.Lock()
			stopped, changed := k.stopped, k.changed
			k.mu.Unlock()
			if stopped {
				return
			}
			select {
			case <-changed:
			case <-k.ended:
				return
			}
		}
	}()
	return c
}

// again says whether the container is to be started once more.
func (k *keeper) again(ctx context.Context, err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped || ctx.Err() != nil || k.c.State.Started.IsZero() {
		return false
	}
	switch r := k.c.Restart; r.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return err != nil && (r.Retry == 0 || k.c.State.Restarts < r.Retry)
	}
	return false
}

// once runs the container once.
func (k *keeper) once(ctx context.Context) error {
	o := k.c.Options
	o.Layer = &container.Layer{Upper: k.c.Upper(), Work: k.c.Work()}
	o.Mounted = func(root *os.File) error {
		k.mu.Lock()
		k.tree = root
		k.mu.Unlock()
		return k.fillVolumes(ctx, root)
	}
	if err := k.addVolumes(&o); err != nil {
		return k.couldNot(err)
	}
	if len(k.c.Networks) > 0 {
		if err := k.addNetwork(&o); err != nil {
			return k.couldNot(err)
		}
	}
	if k.c.OpenStdin {
		o.Sandbox.Stdin = k.hub.open()
	}
	o.Sandbox.Stdout, o.Sandbox.Stderr = hubWriter{k.hub, frameStdout}, hubWriter{k.hub, frameStderr}
	if f := k.o.Foreground; f != nil {
		defer k.hub.add(&direct{f.Stdout, f.Stderr})()
		if f.Stdin != nil && k.c.OpenStdin {
			go k.feed(f.Stdin)
		}
	}
	started := false
	err := k.m.Container(func(ctx context.Context, s *sandbox.Spec) error {
		p, err := k.m.Sandbox.Start(ctx, s)
		if err != nil {
			return err
		}
		started = true
		return k.running(ctx, p)
	}).Run(ctx, k.c.Layers, k.c.Of, o)
	k.mu.Lock()
	k.tree = nil
	k.mu.Unlock()
	if !started {
		return k.couldNot(err)
	}
	return err
}

func (k *keeper) feed(r io.Reader) {
	_, _ = io.Copy(writerFunc(func(p []byte) (int, error) { return len(p), k.hub.input(p) }), r)
	k.hub.endInput()
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// couldNot notes that the container did not start.
func (k *keeper) couldNot(err error) error {
	code := 128
	text := err.Error()
	var x *sandbox.ExitError
	if errors.As(err, &x) {
		if code = x.Code; x.Err != nil {
			text = x.Err.Error()
		}
	}
	k.change(func(s *record.State) {
		if s.Started.IsZero() {
			s.Status = record.Created
		} else {
			s.Status = record.Exited
		}
		s.Started, s.PID, s.ExitCode, s.Error = time.Time{}, 0, code, text
	})
	k.tellReady(err)
	return err
}

// running keeps the started process until it ends.
func (k *keeper) running(ctx context.Context, p *sandbox.Process) error {
	var published Publication
	if len(k.c.Ports) > 0 && k.m.Publish != nil {
		var err error
		if published, err = k.m.Publish(k.c.Ports, p.PID(), p.Addr().Addr()); err != nil {
			_ = p.Signal(unix.SIGKILL)
			_ = p.Wait()
			return k.couldNot(err)
		}
		defer published.Close()
	}
	k.mu.Lock()
	k.proc = p
	k.mu.Unlock()
	k.change(func(s *record.State) {
		*s = record.State{
			Status: record.Running, PID: p.PID(), Started: time.Now(), Address: p.Addr(), Restarts: s.Restarts,
			MonitorPID: os.Getpid(), Finished: s.Finished,
		}
		if published != nil {
			s.Ports = published.Ports()
		}
		if k.c.Health != nil {
			s.Health = &record.HealthState{Status: "starting"}
		}
	})
	k.event("start", nil)
	if f := k.o.Foreground; f != nil && f.Running != nil {
		f.Running(p)
	}
	k.tellReady(nil)
	health := k.watchHealth(ctx, p)
	err := p.Wait()
	health()
	k.hub.endInput()
	_ = k.hub.flush()
	k.exited(err)
	return err
}

// exited notes how the process ended.
func (k *keeper) exited(err error) {
	code, oom, text := 0, false, ""
	var x *sandbox.ExitError
	switch {
	case errors.As(err, &x):
		code, oom = x.Code, x.OOMKilled
	case err != nil:
		code, text = 137, err.Error()
	}
	k.mu.Lock()
	k.proc = nil
	stopped := k.stopped
	k.mu.Unlock()
	k.change(func(s *record.State) {
		s.Status, s.PID, s.ExitCode, s.OOMKilled, s.Error = record.Exited, 0, code, oom, text
		s.Finished, s.Stopped, s.Ports = time.Now(), stopped, nil
	})
	if oom {
		k.event("oom", nil)
	}
	k.event("die", map[string]string{"exitCode": strconv.Itoa(code)})
}

// change writes a new state and wakes those who wait for one. A disk that is full does not
// end the container.
func (k *keeper) change(f func(*record.State)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.c.State
	f(&s)
	if err := k.m.Folder.SetState(k.c, s); err != nil {
		k.c.State = s
		k.m.log().Warn("write state of container", "container", k.c.ID, "error", err)
	}
	close(k.changed)
	k.changed = make(chan struct{})
}

// finish ends the keeping: nothing will run any more.
func (k *keeper) finish(err error) {
	k.mu.Lock()
	k.result = err
	auto := k.c.AutoRemove
	k.mu.Unlock()
	if auto {
		if err := k.m.Remove(k.c, true); err != nil {
			k.m.log().Warn("remove container", "container", k.c.ID, "error", err)
		}
	}
	close(k.ended)
}

// Remove forgets a container that is not running, and with volumes the anonymous ones
// that it was made with.
func (m *Monitor) Remove(c *record.Container, volumes bool) error {
	if volumes {
		for _, v := range c.Volumes {
			if !v.Anonymous {
				continue
			}
			if vol, err := m.Volumes.Find(v.Name); err == nil && vol.Anonymous {
				if err := m.Volumes.Remove(vol); err != nil {
					return err
				}
			}
		}
	}
	if err := m.Folder.Remove(c); err != nil {
		return err
	}
	if m.Event != nil {
		m.Event(c, "destroy", nil)
	}
	return nil
}

func (k *keeper) event(action string, attributes map[string]string) {
	if k.m.Event != nil {
		k.m.Event(k.c, action, attributes)
	}
}

func (m *Monitor) log() *slog.Logger {
	if m.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Log
}

// addNetwork puts the container on its network's bridge.
func (k *keeper) addNetwork(o *container.Options) error {
	a := k.c.Networks[0]
	link, err := k.m.Link(a.Network)
	if err != nil {
		return err
	}
	o.Sandbox.Network, o.Sandbox.Link = sandbox.Bridge, link
	if a.IP == "" {
		return nil
	}
	o.Sandbox.Address, err = netip.ParseAddr(a.IP)
	return err
}

// addVolumes mounts the container's volumes; one that is gone is made again.
func (k *keeper) addVolumes(o *container.Options) error {
	mounts := o.Sandbox.Mounts
	for _, v := range k.c.Volumes {
		vol, _, err := k.m.Volumes.Create(context.Background(), volume.Volume{Name: v.Name, Anonymous: v.Anonymous})
		if err != nil {
			return err
		}
		mounts = append(mounts[:len(mounts):len(mounts)], sandbox.Mount{
			Kind: sandbox.Bind, Source: vol.Dir(), Target: v.Target, ReadOnly: v.ReadOnly, Recursive: true,
		})
	}
	o.Sandbox.Mounts = mounts
	return nil
}

func (k *keeper) fillVolumes(ctx context.Context, root *os.File) error {
	for _, v := range k.c.Volumes {
		if v.NoCopy {
			continue
		}
		vol, err := k.m.Volumes.Find(v.Name)
		if err != nil {
			return err
		}
		if err := vol.Fill(ctx, root, v.Target); err != nil {
			return err
		}
	}
	return nil
}

// stopSignal is the signal that asks the container to end.
func (k *keeper) stopSignal() unix.Signal {
	name := k.c.StopSignal
	if name == "" {
		name = k.c.Of.Config.StopSignal
	}
	if sig, err := signal.ParseSignal(name); err == nil && name != "" {
		return sig
	}
	return unix.SIGTERM
}

// openSocket listens in the container's directory, whose path may be too long for a socket.
func (k *keeper) openSocket() (*net.UnixListener, error) {
	dir, err := os.OpenFile(k.c.Dir(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	_ = os.Remove(filepath.Join(k.c.Dir(), record.SocketName))
	addr := &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), record.SocketName)}
	l, err := net.ListenUnix("unix", addr)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", k.c.Name, err)
	}
	l.SetUnlinkOnClose(false) // the path is good only here
	return l, nil
}

// close ends the connections once they have been answered.
func (k *keeper) close() {
	select {
	case <-k.ended:
	default:
		close(k.ended)
	}
	k.listen.Close()
	_ = os.Remove(filepath.Join(k.c.Dir(), record.SocketName))
	done := make(chan struct{})
	go func() { k.served.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * time.Second): // a client that does not read
	}
}
