// Package snapshot stacks layer trees into one root filesystem.
//
// A Mounter shows a list of directories as one. The result is a Tree: an open
// directory that is mounted nowhere, so that a killed process leaves no mount
// behind; the kernel takes it down with the last file descriptor.
package snapshot

import (
	"context"
	"errors"
	"os"
	"strconv"
)

// A Request says what to stack.
type Request struct {
	// Lower are directories in overlay form, the bottom one first.
	Lower []string
	// Upper receives what is written; "" makes the tree read-only.
	Upper string
	// Work is an empty directory on Upper's filesystem for overlayfs's own use.
	Work string
	// Volatile lets the tree ignore fsync: for steps whose result is thrown
	// away when the machine stops.
	Volatile bool
}

// A Mounter stacks directories. It is safe for concurrent use.
type Mounter interface {
	// Mount stacks r.Lower, with r.Upper on top when it is set. With exactly one
	// directory involved the tree may be that directory itself.
	// The caller closes the tree.
	Mount(ctx context.Context, r Request) (*Tree, error)
	// Name is "overlay" or "copy".
	Name() string
}

// A Tree is a stacked root filesystem.
type Tree struct {
	f      *os.File
	settle func() error
	close  func() error
}

// NewTree makes a Tree of the open directory f. settle and closer may be nil;
// closer runs after f is closed.
func NewTree(f *os.File, settle, closer func() error) *Tree {
	return &Tree{f: f, settle: settle, close: closer}
}

// File is the open root directory: a detached mount or a plain directory. It is
// for system calls that take a directory (openat, move_mount) and may have been
// opened with O_PATH, so it is not to be read: read Path.
// It stays the Tree's; it is good until Close.
func (t *Tree) File() *os.File { return t.f }

// Path is a path that reaches the root from this process until Close. What it
// leads to must be walked with care: symlinks in the tree are not confined.
func (t *Tree) Path() string { return "/proc/self/fd/" + strconv.Itoa(int(t.f.Fd())) }

// Settle makes sure that the request's Upper holds, in overlay form, all that
// was written. Nothing may be written afterwards. Call it before Close.
func (t *Tree) Settle() error {
	if t.settle == nil {
		return nil
	}
	return t.settle()
}

// Close releases the tree. It may be called twice.
func (t *Tree) Close() error {
	err := t.f.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	if t.close != nil {
		if cerr := t.close(); err == nil {
			err = cerr
		}
	}
	return err
}
