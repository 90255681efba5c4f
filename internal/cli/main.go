package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// Main runs the command line args, whose first word is the name mica was called
// by, and gives the code to exit with. It has cleaned up when it returns.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	name := "mica"
	if len(args) > 0 {
		name = filepath.Base(args[0])
		args = args[1:]
	}
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRootCmd(a, name)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if cerr := a.close(); err == nil {
		err = cerr
	}
	return report(ctx, stderr, err)
}

// report prints err as the user should see it and gives the exit code.
func report(ctx context.Context, w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	var sig SignalError
	if errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &sig) {
		fmt.Fprintln(w, "Error: canceled")
		return 128 + int(sig.Signal)
	}
	code := 1
	var ce *codeError
	if errors.As(err, &ce) {
		code = ce.code
	}
	if ce == nil || ce.err != nil {
		printError(w, err)
	}
	var h *hintError
	if errors.As(err, &h) {
		fmt.Fprintln(w, "\n"+h.hint)
	}
	return code
}

// printError prints err, and several errors on a line each.
func printError(w io.Writer, err error) {
	var several failures
	if !errors.As(err, &several) {
		several = failures{err}
	}
	for _, err := range several {
		fmt.Fprintln(w, "Error: "+err.Error())
	}
}

// failures are the errors of a command that went on to its other arguments.
type failures []error

func (f failures) Error() string   { return errors.Join(f...).Error() }
func (f failures) Unwrap() []error { return f }

// err is f as an error, nil if there are none.
func (f failures) err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// A SignalGate says who is meant by the signals that the program gets: the program,
// which they end, or a command that it runs in the foreground.
type SignalGate struct{ taken atomic.Int32 }

// Taken says that signals are a command's.
func (g *SignalGate) Taken() bool { return g.taken.Load() > 0 }

// signalGateKey finds the gate in a context.
type signalGateKey struct{}

// WithSignalGate gives the gate to whom the context is given.
func WithSignalGate(ctx context.Context, g *SignalGate) context.Context {
	return context.WithValue(ctx, signalGateKey{}, g)
}

// takeSignals makes signals a command's until giveBack is called.
func takeSignals(ctx context.Context) (giveBack func()) {
	g, ok := ctx.Value(signalGateKey{}).(*SignalGate)
	if !ok {
		return func() {}
	}
	g.taken.Add(1)
	return func() { g.taken.Add(-1) }
}

// A SignalError is the cause of a context that a signal cancelled.
type SignalError struct{ Signal syscall.Signal }

func (e SignalError) Error() string { return "got " + e.Signal.String() }

// A codeError ends the program with a code of its own. Nothing is printed if
// there is no err in it.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

// withCode makes err end the program with code; err may be nil for silence.
func withCode(code int, err error) error { return &codeError{code, err} }

// A hintError says what to try next.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// withHint adds a line that says what to try next.
func withHint(err error, hint string) error { return &hintError{err, hint} }
