//go:build linux

package monitor

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/sandbox/cgroup"
)

func (k *keeper) accept() {
	for {
		c, err := k.listen.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(50 * time.Millisecond) // no descriptors left, say
			continue
		}
		k.served.Go(func() {
			defer c.Close()
			if err := k.serve(c); err != nil {
				_ = sendJSON(c, frameReply, Failed(err))
			}
		})
	}
}

// serve answers one request. An error is the answer.
func (k *keeper) serve(c *net.UnixConn) error {
	in := &filing{c: c}
	defer func() { in.close() }()
	kind, raw, err := receive(in)
	if err != nil {
		return err
	}
	var q Request
	if err := json.Unmarshal(raw, &q); err != nil || kind != frameRequest {
		return fmt.Errorf("request: %w", errs.ErrInvalid)
	}
	switch q.Op {
	case Attach:
		return k.attach(c, q.Attach)
	case Wait:
		return k.wait(c)
	case Stop:
		return k.stop(c, q.Timeout, unix.Signal(q.Signal))
	case Exec:
		return k.exec(c, q.Exec, in.files)
	}
	p, err := k.process()
	if err != nil {
		return err
	}
	var r Reply
	switch q.Op {
	case Signal:
		err = k.kill(p, unix.Signal(q.Signal))
	case Pause, Unpause:
		err = k.pause(p, q.Op == Pause)
	case PIDs:
		r.PIDs, err = pids(p)
	case Usage:
		if g := p.Cgroup(); g != nil {
			r.Usage = g.Usage()
		}
		r.Net = traffic(p.PID())
	case Root:
		f, err := p.Root()
		if err != nil {
			return err
		}
		defer f.Close()
		return sendJSON(c, frameReply, r, f)
	case Tree:
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.tree == nil {
			return os.ErrProcessDone
		}
		return sendJSON(c, frameReply, r, k.tree)
	case Update:
		err = k.update(p, q.Limits)
	default:
		err = fmt.Errorf("request %q: %w", q.Op, errs.ErrUnsupported)
	}
	if err != nil {
		return err
	}
	return sendJSON(c, frameReply, r)
}

// process is the running process. There being none is errs.ErrConflict.
func (k *keeper) process() (*sandbox.Process, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.proc == nil {
		return nil, fmt.Errorf("container %s is not running: %w", k.c.ID, errs.ErrConflict)
	}
	return k.proc, nil
}

func (k *keeper) kill(p *sandbox.Process, sig unix.Signal) error {
	if sig == unix.SIGKILL {
		// Docker's kill is the user's wish, too.
		k.mu.Lock()
		k.stopped = true
		k.mu.Unlock()
		_ = k.thaw(p)
	}
	if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	k.event("kill", map[string]string{"signal": strconv.Itoa(int(sig))})
	return nil
}

// wait answers when the container has ended for good, or its present run.
func (k *keeper) wait(c *net.UnixConn) error {
	gone := hangUp(c)
	for first := true; ; first = false {
		k.mu.Lock()
		s, changed := k.c.State, k.changed
		k.mu.Unlock()
		if s.Status == record.Exited && (!first || k.over()) || s.Status == record.Restarting {
			return sendJSON(c, frameReply, Reply{Code: s.ExitCode})
		}
		select {
		case <-changed:
		case <-k.ended:
			k.mu.Lock()
			code := k.c.State.ExitCode
			k.mu.Unlock()
			return sendJSON(c, frameReply, Reply{Code: code})
		case <-gone:
			return nil
		}
	}
}

func (k *keeper) over() bool {
	select {
	case <-k.ended:
		return true
	default:
		return false
	}
}

// hangUp is closed when the other side is gone.
func hangUp(c *net.UnixConn) <-chan struct{} {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, c)
	}()
	return gone
}

// stop asks the container to end, and kills it if it does not.
func (k *keeper) stop(c *net.UnixConn, timeout *int, sig unix.Signal) error {
	k.mu.Lock()
	k.stopped = true
	p := k.proc
	k.mu.Unlock()
	k.change(func(s *record.State) { s.Stopped = true })
	if p != nil {
		k.end(p, timeout, sig)
	}
	// A restart that waits ends now.
	select {
	case <-k.ended:
	case <-time.After(10 * time.Second):
	}
	k.event("stop", nil)
	return sendJSON(c, frameReply, Reply{})
}

func (k *keeper) end(p *sandbox.Process, timeout *int, sig unix.Signal) {
	seconds := 10
	if k.c.StopTimeout != nil {
		seconds = *k.c.StopTimeout
	}
	if timeout != nil {
		seconds = *timeout
	}
	if sig == 0 {
		sig = k.stopSignal()
	}
	_ = k.thaw(p)
	_ = p.Signal(sig)
	k.event("kill", map[string]string{"signal": strconv.Itoa(int(sig))})
	if k.without(p, seconds) {
		return
	}
	_ = p.Signal(unix.SIGKILL)
	k.event("kill", map[string]string{"signal": "9"})
	k.without(p, 30)
}

// without waits until p is not the container's process any more.
func (k *keeper) without(p *sandbox.Process, seconds int) bool {
	var late <-chan time.Time
	if seconds >= 0 {
		late = time.After(time.Duration(seconds) * time.Second)
	}
	for {
		k.mu.Lock()
		now, changed := k.proc, k.changed
		k.mu.Unlock()
		if now != p {
			return true
		}
		select {
		case <-changed:
		case <-late:
			return false
		}
	}
}

// pause freezes the container's processes, or lets them go on.
func (k *keeper) pause(p *sandbox.Process, on bool) error {
	k.mu.Lock()
	paused := k.c.State.Status == record.Paused
	k.mu.Unlock()
	switch {
	case on && paused:
		return fmt.Errorf("container %s is already paused: %w", k.c.ID, errs.ErrConflict)
	case !on && !paused:
		return fmt.Errorf("container %s is not paused: %w", k.c.ID, errs.ErrConflict)
	case !on:
		if err := k.thaw(p); err != nil {
			return err
		}
		k.event("unpause", nil)
		return nil
	}
	g := p.Cgroup()
	if g == nil {
		return fmt.Errorf("pause: the container has no control group of its own: %w", errs.ErrUnsupported)
	}
	if err := g.Freeze(true); err != nil {
		return err
	}
	k.change(func(s *record.State) { s.Status = record.Paused })
	k.event("pause", nil)
	return nil
}

func (k *keeper) thaw(p *sandbox.Process) error {
	k.mu.Lock()
	paused := k.c.State.Status == record.Paused
	k.mu.Unlock()
	if !paused {
		return nil
	}
	if err := p.Cgroup().Freeze(false); err != nil {
		return err
	}
	k.change(func(s *record.State) { s.Status = record.Running })
	return nil
}

// update reads the changed record, and sets the limits.
func (k *keeper) update(p *sandbox.Process, l *sandbox.Resources) error {
	if l != nil && *l != (sandbox.Resources{}) {
		g := p.Cgroup()
		if g == nil {
			return fmt.Errorf("update: the container has no control group of its own: %w", errs.ErrUnsupported)
		}
		if err := g.Set(cgroup.Limits(*l)); err != nil {
			return err
		}
	}
	now, err := k.m.Folder.Again(k.c)
	if err != nil {
		return err
	}
	k.mu.Lock()
	k.c.Config = now.Config
	k.mu.Unlock()
	return nil
}

// pids are the container's processes: those of its group, or of its pid namespace.
func pids(p *sandbox.Process) ([]int, error) {
	if g := p.Cgroup(); g != nil {
		if list, err := g.Processes(); err == nil {
			return list, nil
		}
	}
	own, err := os.Readlink("/proc/" + strconv.Itoa(p.PID()) + "/ns/pid")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var list []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ns, err := os.Readlink("/proc/" + e.Name() + "/ns/pid"); err == nil && ns == own {
			list = append(list, pid)
		}
	}
	return list, nil
}

// traffic reads the counters of the process's network.
func traffic(pid int) NetUsage {
	var n NetUsage
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/net/dev")
	if err != nil {
		return n
	}
	for line := range strings.Lines(string(data)) {
		name, counters, ok := strings.Cut(line, ":")
		f := strings.Fields(counters)
		if !ok || strings.TrimSpace(name) == "lo" || len(f) < 9 {
			continue
		}
		received, _ := strconv.ParseInt(f[0], 10, 64)
		sent, _ := strconv.ParseInt(f[8], 10, 64)
		n.Received += received
		n.Sent += sent
	}
	return n
}

// execSpec is a process as the container's own, but for what q says.
func (k *keeper) execSpec(q *Process, in io.Reader, out, errOut io.Writer) *sandbox.Spec {
	own := k.c.Options.Process(k.c.Of)
	s := &sandbox.Spec{
		Args: q.Args, Env: own.Env, Dir: own.Dir, User: own.User, Groups: own.Groups,
		NoNewPrivs: own.NoNewPrivs, Seccomp: own.Seccomp,
		CapAdd: own.CapAdd, CapDrop: own.CapDrop, Insecure: own.Insecure || q.Privileged, Ulimits: own.Ulimits,
		Terminal: q.Terminal, Rows: q.Rows, Cols: q.Cols, Stdin: in, Stdout: out, Stderr: errOut,
	}
	s.Env = mergeEnv(s.Env, q.Terminal, q.Env)
	if q.User != "" {
		s.User = q.User
	}
	if q.Dir != "" {
		s.Dir = q.Dir
	}
	return s
}

func mergeEnv(own []string, terminal bool, more []string) []string {
	out := make([]string, 0, len(own)+len(more)+1)
	set := map[string]bool{}
	for _, kv := range more {
		key, _, _ := strings.Cut(kv, "=")
		set[key] = true
	}
	hasTerm := set["TERM"]
	for _, kv := range own {
		key, _, _ := strings.Cut(kv, "=")
		hasTerm = hasTerm || key == "TERM"
		if !set[key] {
			out = append(out, kv)
		}
	}
	if terminal && !hasTerm {
		out = append(out, "TERM=xterm")
	}
	return append(out, more...)
}

// exec starts another process on the streams that came with the request, and answers when
// it has ended. With a terminal, that is given first.
func (k *keeper) exec(c *net.UnixConn, q *Process, files []*os.File) error {
	if q == nil || len(q.Args) == 0 {
		return fmt.Errorf("exec: no command: %w", errs.ErrInvalid)
	}
	p, err := k.process()
	if err != nil {
		return err
	}
	k.mu.Lock()
	paused := k.c.State.Status == record.Paused
	k.mu.Unlock()
	if paused {
		return fmt.Errorf("container %s is paused, unpause the container before exec: %w", k.c.ID, errs.ErrConflict)
	}
	spec := k.execSpec(q, nil, nil, nil)
	if !q.Terminal && !q.Detach && len(files) == 3 {
		spec.Stdin, spec.Stdout, spec.Stderr = files[0], files[1], files[2]
	}
	// It goes on without the client, as docker's does, and ends with the container.
	spec.KeepTerminal = q.Terminal && !q.Detach
	e, err := p.Enter(context.Background(), spec)
	if err != nil {
		return err
	}
	for _, f := range files {
		f.Close() // so that the client sees the end of its pipes
	}
	if q.Terminal && !q.Detach {
		if err := sendJSON(c, frameReply, Reply{PIDs: []int{e.PID()}}, e.Master()); err != nil {
			_ = e.Signal(unix.SIGHUP)
		}
		e.Master().Close()
	} else if q.Detach {
		_ = sendJSON(c, frameReply, Reply{PIDs: []int{e.PID()}})
	}
	k.event("exec_start: "+strings.Join(q.Args, " "), nil)
	err = e.Wait()
	if q.Detach {
		return nil
	}
	var x *sandbox.ExitError
	if errors.As(err, &x) {
		return sendJSON(c, frameReply, Reply{Code: x.Code})
	}
	if err != nil {
		return err
	}
	return sendJSON(c, frameReply, Reply{})
}

// A client is one that is attached.
type client struct {
	c    *net.UnixConn
	want Streams
	mu   sync.Mutex
}

func (a *client) output(stream byte, p []byte) error {
	if stream == frameStdout && !a.want.Stdout || stream == frameStderr && !a.want.Stderr {
		return nil
	}
	for len(p) > 0 {
		n := min(len(p), maxFrame)
		if err := a.send(stream, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (a *client) send(kind byte, p []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return send(a.c, kind, p)
}

// attach connects a client until the container's present run has ended, or it hangs up.
func (k *keeper) attach(c *net.UnixConn, want *Streams) error {
	if want == nil {
		return fmt.Errorf("attach: %w", errs.ErrInvalid)
	}
	a := &client{c: c, want: *want}
	defer k.hub.add(a)()
	if want.Start {
		k.starting.Do(func() { close(k.begin) })
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		k.listenTo(a)
	}()
	told := false
	for {
		k.mu.Lock()
		s, p, changed := k.c.State, k.proc, k.changed
		k.mu.Unlock()
		if p != nil && !told {
			told = true
			k.resize(want.Rows, want.Cols)
			if err := a.send(frameStarted, nil); err != nil {
				return nil //nolint:nilerr // the client is gone
			}
		}
		if told && p == nil {
			return a.reply(Reply{Code: s.ExitCode})
		}
		select {
		case <-changed:
		case <-k.ended:
			return a.reply(k.outcome())
		case <-gone:
			return nil
		}
	}
}

// reply sends the answer, after all output.
func (a *client) reply(r Reply) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return sendJSON(a.c, frameReply, r)
}

// outcome is how a container ended that may not have run.
func (k *keeper) outcome() Reply {
	k.mu.Lock()
	defer k.mu.Unlock()
	var x *sandbox.ExitError
	if k.result != nil && (!errors.As(k.result, &x) || x.Err != nil) {
		return Failed(k.result)
	}
	return Reply{Code: k.c.State.ExitCode}
}

// listenTo takes what a client sends.
func (k *keeper) listenTo(a *client) {
	for {
		kind, raw, err := receive(a.c)
		if err != nil {
			return
		}
		switch {
		case kind == frameStdin && a.want.Stdin && len(raw) > 0:
			_ = k.hub.input(raw)
		case kind == frameStdin && a.want.Stdin:
			if k.c.StdinOnce {
				k.hub.endInput()
			}
		case kind == frameResize && len(raw) == 4:
			k.resize(binary.LittleEndian.Uint16(raw), binary.LittleEndian.Uint16(raw[2:]))
		case kind == frameSignal && len(raw) == 1:
			if p, err := k.process(); err == nil {
				_ = k.kill(p, unix.Signal(raw[0]))
			}
		}
	}
}

func (k *keeper) resize(rows, cols uint16) {
	if p, err := k.process(); err == nil && rows > 0 && cols > 0 {
		_ = p.Resize(rows, cols)
	}
}
