//go:build !linux

package sandbox

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"

	"github.com/mica-build/mica/errs"
)

// Init does nothing: there are sandboxes on Linux only.
func Init() {}

// A Runner runs nothing on this system: sandboxes need Linux.
type Runner struct {
	StateDir string
	Log      *slog.Logger
	Rootless bool

	SharedProc bool
	CABundle   []byte
}

// Start fails with errs.ErrUnsupported.
func (r *Runner) Start(context.Context, *Spec) (*Process, error) {
	return nil, fmt.Errorf("run on %s: sandboxes need Linux: %w", runtime.GOOS, errs.ErrUnsupported)
}

// Run fails with errs.ErrUnsupported.
func (r *Runner) Run(ctx context.Context, s *Spec) error {
	_, err := r.Start(ctx, s)
	return err
}

// Close does nothing.
func (r *Runner) Close() error { return nil }

// A Process cannot be had on this system.
type Process struct{}

// PID is 0.
func (p *Process) PID() int { return 0 }

// Wait fails with errs.ErrUnsupported.
func (p *Process) Wait() error { return errs.ErrUnsupported }

// Signal fails with errs.ErrUnsupported.
func (p *Process) Signal(os.Signal) error { return errs.ErrUnsupported }

// Resize fails with errs.ErrUnsupported.
func (p *Process) Resize(_, _ uint16) error { return errs.ErrUnsupported }
