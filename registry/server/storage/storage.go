package storage

import (
	"context"
	"fmt"

	"github.com/mica-build/mica/errs"

	_ "crypto/sha256" // digests that clients name
	_ "crypto/sha512" // digests that clients name
)

// Storage is where a registry keeps everything.
type Storage struct {
	Blobs Blobs
	Index Index
}

// Close writes what is still to be written. The storage may be used on.
func (s *Storage) Close(ctx context.Context) error { return s.Index.Flush(ctx) }

// A QuotaError says that an update would use more than a limit allows. It is errs.ErrTooLarge.
type QuotaError struct {
	Limit Limit
	Used  int64 // before
	More  int64 // what was to be added
}

// Error says which limit it was, and by how much.
func (e *QuotaError) Error() string {
	of := "the registry"
	if e.Limit.Prefix != "" {
		of = e.Limit.Prefix
	}
	return fmt.Sprintf("quota of %s: %d of %d bytes are used, %d more do not fit", of, e.Used, e.Limit.Bytes, e.More)
}

// Unwrap is errs.ErrTooLarge.
func (e *QuotaError) Unwrap() error { return errs.ErrTooLarge }
