//go:build unix

package layout

import (
	"context"

	"github.com/mica-build/mica/internal/lockfile"
)

// lock keeps other writers out, and leaves no file behind.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	l, err := lockfile.Acquire(ctx, path, lockfile.Exclusive)
	if err != nil {
		return nil, err
	}
	return func() { _ = l.Remove() }, nil
}
