package storage

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
)

// Blobs keeps bytes under their digest.
type Blobs interface {
	Reader
	Uploads
	Sweeper
}

// A Reader gives bytes.
type Reader interface {
	// Open opens a blob; the caller closes it. Where the bytes are in a file it
	// is an *os.File, which the kernel can send by itself.
	Open(ctx context.Context, d digest.Digest) (io.ReadSeekCloser, error)
	// Stat gives a blob's size.
	Stat(ctx context.Context, d digest.Digest) (int64, error)
}

// A Redirecter is a Reader whose bytes clients can get elsewhere: they are sent to
// that URL once it is decided that they may have them. "" serves them from here.
type Redirecter interface {
	BlobURL(ctx context.Context, d digest.Digest) (string, error)
}

// Uploads become blobs. An upload belongs to a repository: for another one it is
// not there. One request at a time writes to it; a second one is errs.ErrConflict.
type Uploads interface {
	// Start begins an upload and names it, in letters, digits and "-". The
	// algorithm is the one of the digest that it will probably have; others only
	// take longer to verify.
	Start(ctx context.Context, repo string, a digest.Algorithm) (id string, err error)
	// Upload gives the number of bytes that an upload has.
	Upload(ctx context.Context, repo, id string) (int64, error)
	// Write appends what r has and gives the number of bytes the upload has then.
	// It has to stand at offset (errs.ErrInvalid otherwise). What came before r
	// failed is kept.
	Write(ctx context.Context, repo, id string, offset int64, r io.Reader) (int64, error)
	// Finish verifies that the upload is d (errs.ErrDigest otherwise) and ends it
	// either way. Its bytes become the blob d when Publish is called.
	Finish(ctx context.Context, repo, id string, d digest.Digest) (Finished, error)
	// Cancel forgets an upload.
	Cancel(ctx context.Context, repo, id string) error
}

// Finished is an upload that is known to be what it should. One of its methods is
// to be called, once.
type Finished interface {
	Size() int64
	// Publish makes it a blob. One that is there already stays, if it has the
	// right size.
	Publish() error
	Discard()
}

// A Sweeper lets garbage be found and removed.
type Sweeper interface {
	// Each calls f for every blob in no order, until it fails.
	Each(ctx context.Context, f func(Stored) error) error
	// Remove deletes a blob's bytes. It is no error if there are none.
	Remove(ctx context.Context, d digest.Digest) error
	// Quarantine takes a blob away whose bytes are damaged, for somebody to look at.
	Quarantine(ctx context.Context, d digest.Digest) error
	// Expire forgets uploads that nobody wrote to since before, and what killed
	// processes left; dry only counts. It gives their number and bytes.
	Expire(ctx context.Context, before time.Time, dry bool) (Expired, error)
}

// Stored is one blob's bytes.
type Stored struct {
	Digest   digest.Digest
	Size     int64
	Modified time.Time // when the bytes were published
}

// Expired is what uploads given up amount to.
type Expired struct {
	Uploads int
	Bytes   int64
}
