package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	mobysignal "github.com/moby/sys/signal"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/mica-build/mica/container/monitor"
	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/sandbox"
)

// attachedStreams are this process's streams that the container's are connected to.
func (a *app) attachedStreams(o *runOptions) monitor.Local {
	all := len(o.attachTo) == 0
	want := func(name string) bool {
		return all || slices.ContainsFunc(o.attachTo, func(s string) bool { return strings.EqualFold(s, name) })
	}
	l := monitor.Local{Stdout: io.Discard, Stderr: io.Discard}
	if o.interactive && want("stdin") {
		l.Stdin = a.stdin
	}
	if want("stdout") {
		l.Stdout = a.stdout
	}
	if want("stderr") {
		l.Stderr = a.stderr
	}
	return l
}

// runHere keeps the container in this process: what it costs to start another one is
// saved, and the container ends with the command that started it.
func (a *app) runHere(ctx context.Context, c *record.Container, o *runOptions) error {
	m, err := a.monitor()
	if err != nil {
		return err
	}
	streams := a.attachedStreams(o)
	f := &monitor.Foreground{Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr}
	if o.sigProxy { // before the command can say that it is ready for them
		caught := make(chan os.Signal, 16)
		signal.Notify(caught, forwarded...)
		defer signal.Stop(caught)
		defer takeSignals(ctx)()
		done := make(chan struct{})
		defer close(done)
		f.Running = func(p *sandbox.Process) { go forwardTo(func(s os.Signal) { _ = p.Signal(s) }, caught, done) }
	}
	return m.Run(ctx, c, monitor.Options{Foreground: f})
}

// forwardTo passes signals on until done is closed.
func forwardTo(send func(os.Signal), caught <-chan os.Signal, done <-chan struct{}) {
	for {
		select {
		case s := <-caught:
			send(s)
		case <-done:
			return
		}
	}
}

// attachOptions say how one is attached to a container that another process keeps.
type attachOptions struct {
	start      bool // it is to be started first
	sigProxy   bool
	detachKeys string
}

const detachKeysHelp = "`keys` that detach from the container (default ctrl-p,ctrl-q)"

// runAttached connects this process to a container that another one keeps, until it ends
// or the user detaches.
func (a *app) runAttached(ctx context.Context, c *record.Container, l monitor.Local, o attachOptions) error {
	keys, err := parseDetachKeys(o.detachKeys)
	if err != nil {
		return err
	}
	if o.start {
		if err := a.startMonitor(ctx, c, true); err != nil {
			return err
		}
	}
	conn, err := monitor.Dial(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	tty := c.Options.Sandbox.Terminal
	streams := monitor.Streams{Stdin: l.Stdin != nil && c.OpenStdin, Stdout: true, Stderr: true, Start: o.start}
	if o.sigProxy && !tty {
		defer a.proxySignals(ctx, conn)()
	}
	detach := make(chan struct{})
	if tty {
		restore, err := a.raw(conn, &streams, l)
		defer restore()
		if err != nil {
			return err
		}
		if l.Stdin != nil {
			l.Stdin = &detacher{r: l.Stdin, keys: keys, detach: func() { close(detach); conn.Close() }}
		}
	}
	r, err := conn.Attach(ctx, streams, l)
	select {
	case <-detach:
		return nil
	default:
	}
	if err != nil {
		return exitError(err)
	}
	if r.Code != 0 {
		return withCode(r.Code, nil)
	}
	return nil
}

// proxySignals passes signals on to the container until the function it gives is called.
func (a *app) proxySignals(ctx context.Context, conn *monitor.Conn) (stop func()) {
	caught := make(chan os.Signal, 16)
	signal.Notify(caught, forwarded...)
	giveBack := takeSignals(ctx)
	done := make(chan struct{})
	go forwardTo(func(s os.Signal) {
		if sig, ok := s.(syscall.Signal); ok {
			_ = conn.Kill(sig)
		}
	}, caught, done)
	return func() { signal.Stop(caught); close(done); giveBack() }
}

// raw puts the user's terminal into raw mode and keeps the container's at its size.
func (a *app) raw(conn interface {
	Resize(rows, cols uint16) error
}, s *monitor.Streams, l monitor.Local,
) (restore func(), err error) {
	restore = func() {}
	if f, ok := terminalFile(l.Stdin); ok {
		state, err := term.MakeRaw(int(f.Fd()))
		if err != nil {
			return restore, fmt.Errorf("raw mode: %w", err)
		}
		restore = func() { _ = term.Restore(int(f.Fd()), state) }
	}
	out, ok := terminalFile(l.Stdout)
	if !ok {
		return restore, nil
	}
	if cols, rows, err := term.GetSize(int(out.Fd())); err == nil {
		s.Rows, s.Cols = uint16(rows), uint16(cols)
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-changed:
			case <-done:
				return
			}
			if cols, rows, err := term.GetSize(int(out.Fd())); err == nil {
				_ = conn.Resize(uint16(rows), uint16(cols))
			}
		}
	}()
	cooked := restore
	return func() { signal.Stop(changed); close(done); cooked() }, nil
}

// parseDetachKeys reads docker's way to write keys: letters, and ctrl- with a letter or one
// of @ [ \ ] ^ _, with commas between.
func parseDetachKeys(s string) ([]byte, error) {
	if s == "" {
		return []byte{16, 17}, nil
	}
	var keys []byte
	for k := range strings.SplitSeq(s, ",") {
		c, ctrl := strings.CutPrefix(k, "ctrl-")
		switch {
		case len(c) == 1 && !ctrl:
			keys = append(keys, c[0])
		case len(c) == 1 && c[0] >= 'a' && c[0] <= 'z':
			keys = append(keys, c[0]-'a'+1)
		case len(c) == 1 && strings.Contains(`@[\]^_`, c):
			keys = append(keys, c[0]-'@')
		default:
			return nil, fmt.Errorf("--detach-keys %q: %w: it is letters and ctrl-LETTER, with commas between", s, errs.ErrInvalid)
		}
	}
	return keys, nil
}

// A detacher watches the keys that are typed.
type detacher struct {
	r      io.Reader
	keys   []byte
	detach func()
	held   int // how many of keys came last, and were not passed on
	out    []byte
	err    error
}

// Read passes on what is typed but for the keys that detach.
func (d *detacher) Read(p []byte) (int, error) {
	for len(d.out) == 0 && d.err == nil {
		buf := make([]byte, len(p))
		n, err := d.r.Read(buf)
		d.err = err
		for _, b := range buf[:n] {
			switch {
			case b == d.keys[d.held]:
				if d.held++; d.held == len(d.keys) {
					d.detach()
					d.err = io.EOF
					return 0, errDetached
				}
			default:
				d.out = append(d.out, d.keys[:d.held]...)
				if d.held = 0; b == d.keys[0] {
					d.held = 1
				} else {
					d.out = append(d.out, b)
				}
			}
		}
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	if n > 0 {
		return n, nil
	}
	return 0, d.err
}

var errDetached = errors.New("detached")

// signalNumber is a signal by name or number.
func signalNumber(s string) (unix.Signal, error) {
	sig, err := mobysignal.ParseSignal(s)
	if err != nil {
		return 0, fmt.Errorf("invalid signal: %s: %w", s, errs.ErrInvalid)
	}
	return sig, nil
}
