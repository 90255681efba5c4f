// Command mica builds, keeps, inspects and moves container images, without a daemon.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/mica-build/mica/internal/cli"
	"github.com/mica-build/mica/sandbox"
)

func main() {
	sandbox.Init() // does not return in a sandbox's own processes
	ctx, stop := untilSignal(context.Background())
	code := cli.Main(ctx, os.Args, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// untilSignal gives a context that the first SIGINT or SIGTERM cancels, so that
// everything is cleaned up; the second one ends the process at once.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for {
			s := (<-c).(syscall.Signal)
			if ctx.Err() != nil {
				os.Exit(128 + int(s))
			}
			cancel(cli.SignalError{Signal: s})
		}
	}()
	return ctx, func() { signal.Stop(c); cancel(nil) }
}
