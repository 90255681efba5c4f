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
	// SetTime, when not nil, replaces all modification times.
	SetTime *time.Time
}

// Diff writes the overlay-form tree at dir to w as a layer tar. The bytes are
// a function of the tree and o only. The tree must not change meanwhile.
//
// Names come in byte order, parents before children, without an entry for dir
// itself. Modification times are cut to whole seconds, access and change times
// and user names are left out, and of files that are hard links of each other
// the first name carries the content: all as BuildKit writes its layers.
// Sockets are left out; so are the marks of overlayfs and the xattrs that
// belong to the machine, such as security.selinux. A tree with overlayfs
// redirects or metadata-only copies, or with a name that begins with .wh., has
// no tar form: errs.ErrUnsupported.
func Diff(ctx context.Context, w io.Writer, dir string, o DiffOptions) error {
	return diff(ctx, w, dir, o)
}

// DiffDigest is Diff into a hash: the diffID and the tar's size.
func DiffDigest(ctx context.Context, dir string, o DiffOptions) (digest.Digest, int64, error) {
	h := newHashPipe()
	err := diffUnbuffered(ctx, h, dir, o)
	sum, size := h.sum()
	if err != nil {
		return "", 0, err
	}
	return digest.NewDigestFromBytes(digest.SHA256, sum), size, nil
}

// Settle removes from the overlay upper directory what does not differ from
// the lowers (bottom first) below it: files copied up and not changed,
// directories that only led to them, whiteouts and opaque marks that hide
// nothing. Whatever differs in type, mode, owner, xattrs, device, target, size,
// modification time or content stays, and so do the directories above it. As in
// BuildKit a new modification time of a directory alone is not a difference, and
// a new name of an old file is a file of its own: the old name stays below.
func Settle(ctx context.Context, upper string, lowers []string) error {
	return settle(ctx, upper, lowers)
}

// ApplyOptions configure Apply. The zero value works.
type ApplyOptions struct {
	// MaxBytes bounds the bytes written; 0 is no bound.
	MaxBytes int64
	// Flat applies onto a plain tree: whiteouts delete, and are not stored.
	Flat bool
	// Parents are the trees, bottom first, the layer lies upon. With them a
	// hard link to a file of theirs is a copy of it, and a directory the
	// layer uses without having an entry for it looks like theirs.
	Parents []string
	// NoOwner leaves everything to the calling user and group, for callers
	// that may not give files away. Without privileges ([UserXattr]) the owners
	// are noted, so that Diff gives them back. What only an owner-changing caller can set
	// (file capabilities, trusted xattrs) is left out then.
	NoOwner bool
}

// Apply reads a layer tar (uncompressed) into the empty directory dir, in
// overlay form. Nothing in the tar can reach outside dir. dir must not change
// meanwhile.
//
// r is read to its end, beyond the archive's, so that it can be hashed on the
// way. A later entry replaces an earlier one of the same name. Missing parent
// directories belong to root with mode 0755. Access times are set to the
// modification times. After an error dir holds a part of the layer.
//
// A hard link to a name that this layer does not have is a *MissingLinkError
// unless the Parents have it. Input that is not a layer tar is errs.ErrInvalid,
// one that goes over a limit errs.ErrTooLarge, and a device node that the caller
// may not make errs.ErrUnsupported.
func Apply(ctx context.Context, r io.Reader, dir string, o ApplyOptions) (Stats, error) {
	return apply(ctx, r, dir, o)
}

// Stats describe an applied layer.
type Stats struct {
	Entries int
	Bytes   int64 // of file content
	// Implied are directories that were made for entries below them and have
	// no entry of their own, in order of creation and relative to the tree.
	Implied []string
	// LostXattrs counts extended attributes the file system, or the caller's
	// rights under NoOwner, did not allow to be kept.
	LostXattrs int
}

// MissingLinkError says that a layer links to a file it does not contain, so
// that it can only be applied with its Parents.
type MissingLinkError struct {
	Name   string // the link
	Target string // the file it wants
}

// Error implements error.
func (e *MissingLinkError) Error() string {
	return "hard link " + show(e.Name) + ": " + show(e.Target) + " is not in this layer"
}
