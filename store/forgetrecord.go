//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/mica-build/mica/errs"
)

// ForgetRecord removes the record of a key, if there is one. What only it kept is then
// garbage, for Prune to collect.
func (s *Store) ForgetRecord(ctx context.Context, k Key) error {
	if !isName(string(k)) {
		return fmt.Errorf("forget cache record %q: %w", k, errs.ErrInvalid)
	}
	err := s.publish(ctx, nil, func() error {
		err := os.Remove(s.recordPath(k))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("forget cache record %s: %w", k, advise(err))
	}
	return nil
}
