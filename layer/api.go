package layer

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// DiffOptions configure Diff. The zero value works.
type DiffOptions struct {
	// ClampTime, when not nil, replaces modification times newer than it.
	ClampTime *time.Time
}

// Diff writes the overlay-form tree at dir to w as a layer tar.
func Diff(ctx context.Context, w io.Writer, dir string, o DiffOptions) error { panic("stub") }

// DiffDigest is Diff into a hash: the diffID and the tar's size.
func DiffDigest(ctx context.Context, dir string, o DiffOptions) (digest.Digest, int64, error) {
	panic("stub")
}

// Settle removes from the overlay upper directory what does not differ from
// the lowers (bottom first) below it: files copied up and not changed,
// whiteouts and opaque marks that hide nothing.
func Settle(ctx context.Context, upper string, lowers []string) error { panic("stub") }

// ApplyOptions configure Apply. The zero value works.
type ApplyOptions struct {
	// MaxBytes bounds the bytes written; 0 is no bound.
	MaxBytes int64
	// Flat applies onto a plain tree: whiteouts delete, and are not stored.
	Flat bool
}

// Apply reads a layer tar (uncompressed) into the empty directory dir, in
// overlay form. Nothing in the tar can reach outside dir.
func Apply(ctx context.Context, r io.Reader, dir string, o ApplyOptions) (Stats, error) {
	panic("stub")
}

// Stats describe an applied layer.
type Stats struct {
	Entries int
	Bytes   int64 // of file content
}

// Decompress detects gzip, zstd, bzip2 and xz by content and gives the plain
// bytes; anything else passes through. name is "gzip", "zstd", "bzip2", "xz" or "".
func Decompress(r io.Reader) (rc io.ReadCloser, name string, err error) { panic("stub") }

// Compress writes a stream of kind "gzip", "zstd" or "" (none) to w. Its bytes
// depend on the input and the level only, not on the number of cores.
// level 0 is the default.
func Compress(w io.Writer, kind string, level int) (io.WriteCloser, error) { panic("stub") }
