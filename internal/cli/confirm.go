package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// errDeclined ends a command whose question was answered with no: as in docker
// that is no failure.
var errDeclined = withCode(0, nil)

// confirm asks question on stdout, as docker does, and waits for an answer on
// stdin. Anything but yes, the end of input too, is errDeclined.
func (a *app) confirm(ctx context.Context, question string) error {
	fmt.Fprintf(a.stdout, "%s\nAre you sure you want to continue? [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		s, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answer <- s
	}()
	select {
	case s := <-answer:
		switch strings.ToLower(strings.TrimSpace(s)) {
		case "y", "yes":
			return nil
		}
		fmt.Fprintln(a.stdout)
		fmt.Fprintln(a.stderr, "canceled: nothing was removed")
		return errDeclined
	case <-ctx.Done():
		fmt.Fprintln(a.stdout)
		return ctx.Err()
	}
}
