package server

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
)

// A Backend keeps what a registry has. Repositories come into being with their
// first content. What is not there is errs.ErrNotFound.
type Backend interface {
	Blobs
	Uploads
	Manifests
}

// Blobs are what repositories hold. A blob that one repository deletes is gone
// there even when another one still has it.
type Blobs interface {
	// Blob opens a blob; the caller closes it.
	Blob(ctx context.Context, repo string, d digest.Digest) (io.ReadSeekCloser, error)
	// StatBlob gives a blob's size.
	StatBlob(ctx context.Context, repo string, d digest.Digest) (int64, error)
	// MountBlob makes a blob of repository from one of repo too.
	MountBlob(ctx context.Context, repo, from string, d digest.Digest) error
	DeleteBlob(ctx context.Context, repo string, d digest.Digest) error
}

// Uploads become blobs. One upload is written to by one request at a time; a
// second one is errs.ErrConflict.
type Uploads interface {
	// StartUpload begins an upload and names it.
	StartUpload(ctx context.Context, repo string) (id string, err error)
	// Upload gives the number of bytes that an upload has.
	Upload(ctx context.Context, repo, id string) (int64, error)
	// WriteUpload appends what r has, and gives the number of bytes the upload
	// has then. offset must be where it stands (errs.ErrInvalid otherwise).
	// What came before r failed is kept.
	WriteUpload(ctx context.Context, repo, id string, offset int64, r io.Reader) (int64, error)
	// FinishUpload makes the upload a blob if it has digest d (errs.ErrDigest otherwise).
	FinishUpload(ctx context.Context, repo, id string, d digest.Digest) error
	// CancelUpload forgets an upload.
	CancelUpload(ctx context.Context, repo, id string) error
}

// Manifests and the tags on them.
type Manifests interface {
	Manifest(ctx context.Context, repo string, d digest.Digest) (Manifest, error)
	PutManifest(ctx context.Context, repo string, d digest.Digest, m Manifest) error
	// DeleteManifest removes a manifest and the tags on it.
	DeleteManifest(ctx context.Context, repo string, d digest.Digest) error

	// Tag gives the digest that a tag stands for.
	Tag(ctx context.Context, repo, tag string) (digest.Digest, error)
	PutTag(ctx context.Context, repo, tag string, d digest.Digest) error
	DeleteTag(ctx context.Context, repo, tag string) error
	// Tags lists at most n tags after last, in ASCII order. n < 0 is all.
	Tags(ctx context.Context, repo, last string, n int) ([]string, error)

	// Referrers lists the manifests whose subject is d, each as Referrer.
	Referrers(ctx context.Context, repo string, d digest.Digest) ([]image.Descriptor, error)
	// Repositories lists at most n repositories after last, in ASCII order. n < 0 is all.
	Repositories(ctx context.Context, last string, n int) ([]string, error)
}

// A Manifest is a manifest's or index's bytes.
type Manifest struct {
	MediaType string
	Raw       []byte
	// Subject is what it refers to, "" for most; Referrer then describes the
	// manifest in the list of the subject's referrers.
	Subject  digest.Digest
	Referrer image.Descriptor
}
