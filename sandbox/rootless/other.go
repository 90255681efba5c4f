//go:build !linux

package rootless

import (
	"context"
	"fmt"
	"runtime"

	"github.com/mica-build/mica/errs"
)

// Kind is which users a namespace has.
type Kind string

// The kinds of namespace on Linux.
const (
	Ranges Kind = "ranges"
	Single Kind = "single"
	All    Kind = "all"
)

// Options configure Run.
type Options struct {
	Kind Kind
	Warn func(string)
}

// A Refusal is for Linux.
type Refusal struct {
	Cause, Advice string
	Err           error
}

// Error implements error.
func (r *Refusal) Error() string { return "user namespace: " + r.Cause }

// Needed is false: there are no user namespaces here.
func Needed() bool { return false }

// Inside is "": no process is in one.
func Inside() Kind { return "" }

// A Range are Count ids from Start on.
type Range struct{ Start, Count int }

// Ids are the means for a namespace with ranges.
type Ids struct {
	User                 string
	UIDs, GIDs           []Range
	NewUIDMap, NewGIDMap string
}

// Complete is false.
func (Ids) Complete() bool { return false }

// Lookup fails with errs.ErrUnsupported.
func Lookup() (Ids, error) {
	_, err := Try()
	return Ids{}, err
}

// Try fails with errs.ErrUnsupported.
func Try() (Kind, error) {
	return "", fmt.Errorf("user namespace on %s: %w", runtime.GOOS, errs.ErrUnsupported)
}

// Run fails with errs.ErrUnsupported.
func Run(context.Context, Options) (int, error) {
	return 0, fmt.Errorf("user namespace on %s: %w", runtime.GOOS, errs.ErrUnsupported)
}
