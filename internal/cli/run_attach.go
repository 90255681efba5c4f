package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"github.com/mica-build/mica/sandbox"
)

// forwarded are the signals that a container gets in mica's place.
var forwarded = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
	syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT,
}

// attach runs s with the user's terminal and signals connected to it. With
// signals, those mica gets go to the command, which alone decides what they mean.
func attach(ctx context.Context, r *sandbox.Runner, s *sandbox.Spec, signals bool) error {
	var caught chan os.Signal
	if signals { // before the command can say that it is ready for them
		caught = make(chan os.Signal, 16)
		signal.Notify(caught, forwarded...)
		defer signal.Stop(caught)
		defer takeSignals(ctx)()
	}
	p, err := r.Start(ctx, s)
	if err != nil {
		return err
	}
	if signals {
		defer forwardSignals(p, caught)()
	}
	if s.Terminal {
		restore, err := connectTerminal(p, s)
		defer restore()
		if err != nil {
			_ = p.Signal(syscall.SIGKILL)
			_ = p.Wait()
			return err
		}
	}
	return p.Wait()
}

// forwardSignals passes signals on until stop is called.
func forwardSignals(p *sandbox.Process, caught <-chan os.Signal) (stop func()) {
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-caught:
				_ = p.Signal(s) // it may just have ended
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// connectTerminal puts the user's terminal into raw mode, so that each key goes
// to the command, and keeps the command's terminal at the same size.
func connectTerminal(p *sandbox.Process, s *sandbox.Spec) (restore func(), err error) {
	restore = func() {}
	if f, ok := terminalFile(s.Stdin); ok {
		state, err := term.MakeRaw(int(f.Fd()))
		if err != nil {
			return restore, fmt.Errorf("raw mode: %w", err)
		}
		restore = func() { _ = term.Restore(int(f.Fd()), state) }
	}
	out, ok := terminalFile(s.Stdout)
	if !ok {
		return restore, nil
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	done := make(chan struct{})
	go followSize(p, out, c, done)
	cooked := restore
	return func() { signal.Stop(c); close(done); cooked() }, nil
}

// followSize gives the command's terminal the size of f, now and at every change.
func followSize(p *sandbox.Process, f *os.File, changed <-chan os.Signal, done <-chan struct{}) {
	for {
		if cols, rows, err := term.GetSize(int(f.Fd())); err == nil {
			_ = p.Resize(uint16(rows), uint16(cols))
		}
		select {
		case <-changed:
		case <-done:
			return
		}
	}
}

// terminalFile gives the file behind a stream that is a terminal.
func terminalFile(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && isTerminal(f)
}
