//go:build linux

package monitor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mica-build/mica/container/record"
	"github.com/mica-build/mica/sandbox"
)

// docker's defaults, and how much it keeps.
const (
	healthInterval = 30 * time.Second
	healthTimeout  = 30 * time.Second
	healthRetries  = 3
	healthEarly    = 5 * time.Second // the interval while it starts
	healthOutput   = 4096            // bytes of output
	healthKept     = 5               // results
)

// watchHealth checks the container's health until the function it gives is called.
func (k *keeper) watchHealth(ctx context.Context, p *sandbox.Process) (stop func()) {
	h := k.c.Health
	args := healthArgs(h)
	if len(args) == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { k.checkHealth(ctx, p, h, args) })
	return func() { cancel(); done.Wait() }
}

// healthArgs is the command that checks; none if there is nothing to check.
func healthArgs(h *record.Health) []string {
	if h == nil || len(h.Test) < 2 {
		return nil
	}
	switch h.Test[0] {
	case "CMD":
		return h.Test[1:]
	case "CMD-SHELL":
		return []string{"/bin/sh", "-c", h.Test[1]}
	}
	return nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

func (k *keeper) checkHealth(ctx context.Context, p *sandbox.Process, h *record.Health, args []string) {
	began := time.Now()
	for {
		wait := orDefault(h.Interval, healthInterval)
		if k.isStarting(h, began) {
			wait = min(wait, orDefault(h.StartInterval, healthEarly))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		r, err := k.checkOnce(ctx, p, h, args)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.ExitCode, r.Output = -1, err.Error()
		}
		k.note(h, r, time.Since(began) < h.StartPeriod)
	}
}

// isStarting says whether failures do not count yet.
func (k *keeper) isStarting(h *record.Health, began time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.c.State.Health
	return s != nil && s.Status == "starting" && time.Since(began) < h.StartPeriod
}

// checkOnce runs the command.
func (k *keeper) checkOnce(ctx context.Context, p *sandbox.Process, h *record.Health, args []string) (record.HealthResult, error) {
	timeout := orDefault(h.Timeout, healthTimeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out := &head{}
	r := record.HealthResult{Start: time.Now()}
	e, err := p.Enter(ctx, k.execSpec(&Process{Args: args}, nil, out, out))
	if err == nil {
		err = e.Wait()
	}
	r.End, r.Output = time.Now(), out.String()
	var x *sandbox.ExitError
	switch {
	case errors.As(err, &x):
		if r.ExitCode = x.Code; x.Err != nil {
			r.Output = x.Err.Error()
		}
		return r, nil
	case ctx.Err() != nil:
		return r, fmt.Errorf("health check exceeded timeout (%s)", timeout)
	}
	return r, err
}

// note adds a result to the state.
func (k *keeper) note(h *record.Health, r record.HealthResult, early bool) {
	retries := h.Retries
	if retries <= 0 {
		retries = healthRetries
	}
	status := ""
	k.change(func(s *record.State) {
		n := record.HealthState{Status: "starting"}
		if s.Health != nil {
			n = *s.Health
		}
		n.Log = append(slices.Clone(n.Log), r)
		n.Log = n.Log[max(0, len(n.Log)-healthKept):]
		before := n.Status
		switch {
		case r.ExitCode == 0:
			n.Status, n.Failing = "healthy", 0
		case early && n.Status == "starting":
		default:
			if n.Failing++; n.Failing >= retries {
				n.Status = "unhealthy"
			}
		}
		if n.Status != before {
			status = n.Status
		}
		s.Health = &n
	})
	if status != "" {
		k.event("health_status: "+status, nil)
	}
}

// A head keeps the first bytes of what is written to it.
type head struct {
	mu sync.Mutex
	b  []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b = append(h.b, p[:min(len(p), healthOutput-len(h.b))]...)
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.b)
}
