//go:build linux

package fileop

import (
	"os"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// A Source is a tree that files are copied from.
type Source struct {
	// Dir is the open root of the tree.
	Dir *os.File
	// Exclude are .dockerignore patterns; what they match does not exist for the copy.
	Exclude []string
	// Context says that the tree is a live build context: owners read as 0:0,
	// xattrs are dropped. From any other tree owners and file capabilities are
	// kept, other xattrs are not.
	Context bool
	// Immutable says that the tree is one published layer, whose files never
	// change, not even their metadata: a copy may be a second name of the same
	// file. Whiteouts in it are no files.
	Immutable bool
	// Donor, when not nil, has files that need not be copied again.
	Donor *Donor
	// Copied, when not nil, hears of every regular file and the digest that
	// Digests has for it. It may be called concurrently.
	Copied func(target string, d digest.Digest)
	// Digests remembers the digests of files' content between builds; nil hashes each time.
	Digests Digester
}

// A Digester gives the digest of a regular file's content, from memory when st
// says that the file did not change. It may be called concurrently.
type Digester interface {
	// FileDigest is told the path relative to the source's root; open opens the
	// file for reading when its bytes must be hashed.
	FileDigest(path string, st *unix.Stat_t, open func() (*os.File, error)) (digest.Digest, error)
}

// Owner is a numeric user and group.
type Owner struct{ UID, GID int }
