// Command mica builds, keeps, inspects and moves container images, without a daemon.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/mica-build/mica/internal/cli"
	"github.com/mica-build/mica/sandbox"
)

func main() {
	sandbox.Init() // does not return in a sandbox's own processes
	collectLate()
	ctx, stop := untilSignal(context.Background())
	code := cli.Main(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// collectLate makes garbage collection wait for what a short command never
// reaches: most commands end with less than 32 MiB of it. Where there is much,
// memory is kept near memoryGoal as before. GOGC and GOMEMLIMIT say otherwise.
func collectLate() {
	const memoryGoal = 160 << 20
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryGoal)
	}
}

// untilSignal gives a context that the first SIGINT or SIGTERM cancels, so that
// everything is cleaned up; the second one ends the process at once. Those that a
// command in the foreground takes are not counted.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	gate := &cli.SignalGate{}
	ctx, cancel := context.WithCancelCause(cli.WithSignalGate(parent, gate))
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for {
			s := (<-c).(syscall.Signal)
			if gate.Taken() {
				continue // a command's in the foreground
			}
			if ctx.Err() != nil {
				os.Exit(128 + int(s))
			}
			cancel(cli.SignalError{Signal: s})
		}
	}()
	return ctx, func() { signal.Stop(c); cancel(nil) }
}
