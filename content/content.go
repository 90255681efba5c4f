// Package content says how blobs and the names of manifests are read and
// written, whatever keeps them: the local store, an OCI layout, a docker
// archive, a registry, memory.
//
// Interfaces are small and composed by the caller; contenttest is the suite
// every implementation passes. Blobs are addressed by descriptor and immutable:
// pushing one that is already there is not an error and changes nothing.
package content

import (
	"context"
	"io"

	"github.com/mica-build/mica/image"
)

// A Fetcher reads blobs and manifests.
type Fetcher interface {
	// Fetch opens the blob that d names. The bytes are verified against digest
	// and size at the latest when the reader reports io.EOF, which it does only
	// for the right bytes (errs.ErrDigest otherwise). A blob that is not there
	// is errs.ErrNotFound. The caller closes the reader.
	Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error)
}

// A Pusher writes blobs and manifests.
type Pusher interface {
	// Push stores the bytes of r as d. It reads r to its end and fails with
	// errs.ErrDigest, keeping nothing, if the bytes are not d's.
	// A blob that exists already is success; r may then be left unread.
	Push(ctx context.Context, d image.Descriptor, r io.Reader) error
	// Exists says whether the blob is there, so that it need not be pushed.
	Exists(ctx context.Context, d image.Descriptor) (bool, error)
}

// A Resolver turns a name into the descriptor of a manifest or an index.
type Resolver interface {
	// Resolve answers errs.ErrNotFound for a name that is not there.
	Resolve(ctx context.Context, name string) (image.Descriptor, error)
}

// A Tagger gives a manifest or an index a name.
type Tagger interface {
	// Tag makes name stand for d, whose blob must be there already.
	Tag(ctx context.Context, name string, d image.Descriptor) error
}

// ReadOnly is a source that images can be copied from.
type ReadOnly interface {
	Fetcher
	Resolver
}

// Store is a place that images can be copied from and to.
type Store interface {
	Fetcher
	Pusher
	Resolver
	Tagger
}
