// Package fileop carries out the file actions of a build: COPY and ADD, mkdir,
// mkfile, symlink and rm, on a directory tree that is confined whatever
// symlinks it holds.
//
// Selecting what a copy takes is one piece of code with two users: Copy, and
// Digest, which gives the content key of the same selection.
package fileop

import (
	"context"
	"os"

	"github.com/moby/buildkit/solver/pb"
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
	// xattrs are dropped, sockets become regular files.
	Context bool
	// Digests remembers the digests of files' content between builds; nil hashes each time.
	Digests Digester
}

// A Digester gives the digest of a regular file's content, from memory when st
// says that the file did not change.
type Digester interface {
	// FileDigest is told the path relative to the source's root; open opens the
	// file for reading when its bytes must be hashed.
	FileDigest(path string, st *unix.Stat_t, open func() (*os.File, error)) (digest.Digest, error)
}

// Owner is a numeric user and group.
type Owner struct{ UID, GID int }

// Copy copies what a selects from src into the tree dst. owner, when not nil,
// is the owner for everything copied or created.
func Copy(ctx context.Context, dst *os.File, src *Source, a *pb.FileActionCopy, owner *Owner) error {
	panic("stub")
}

// Digest is the content key of what Copy would take: names, types, modes,
// owners, links, xattrs and bytes, but no times.
func Digest(ctx context.Context, src *Source, a *pb.FileActionCopy) (digest.Digest, error) {
	panic("stub")
}

// DigestPath is the content key of the file or the whole tree at path, for
// read-only bind mounts.
func DigestPath(ctx context.Context, src *Source, path string) (digest.Digest, error) {
	panic("stub")
}

// Mkdir, Mkfile, Rm and Symlink carry out the other actions.
func Mkdir(ctx context.Context, dst *os.File, a *pb.FileActionMkDir, owner *Owner) error {
	panic("stub")
}

func Mkfile(ctx context.Context, dst *os.File, a *pb.FileActionMkFile, owner *Owner) error {
	panic("stub")
}

func Rm(ctx context.Context, dst *os.File, a *pb.FileActionRm) error { panic("stub") }

func Symlink(ctx context.Context, dst *os.File, a *pb.FileActionSymlink, owner *Owner) error {
	panic("stub")
}

// LookupOwner resolves the owner c in the tree root (its /etc/passwd and
// /etc/group). userRoot and groupRoot may be nil when c names no names.
func LookupOwner(c *pb.ChownOpt, userRoot, groupRoot *os.File) (*Owner, error) { panic("stub") }
