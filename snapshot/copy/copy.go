//go:build linux

package copy

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/snapshot"
)

// A Mounter stacks directories by copying them. It is safe for concurrent use.
type Mounter struct {
	dir string
}

var _ snapshot.Mounter = (*Mounter)(nil)

// New gives a Mounter. Trees without an upper directory are made in dir ("" is
// os.TempDir) and removed by their Close; a killed process leaves them there.
// Trees with an upper directory are made in the request's work directory.
func New(dir string) *Mounter { return &Mounter{dir} }

// Name is "copy".
func (*Mounter) Name() string { return "copy" }

// Mount copies r.Lower and r.Upper as snapshot.Mounter says. A tree without an
// upper directory can be written, but that changes the copy only.
func (m *Mounter) Mount(ctx context.Context, r snapshot.Request) (*snapshot.Tree, error) {
	switch {
	case len(r.Lower) == 0 && r.Upper == "":
		return nil, fmt.Errorf("copy layers: no directory given: %w", errs.ErrInvalid)
	case r.Upper != "" && r.Work == "":
		return nil, fmt.Errorf("copy layers: no work directory for %s: %w", r.Upper, errs.ErrInvalid)
	}
	base := r.Work
	if r.Upper == "" {
		base = m.dir
	}
	base, err := os.MkdirTemp(base, "copy-")
	if err != nil {
		return nil, fmt.Errorf("copy layers: %w", err)
	}
	t, err := build(ctx, base, r)
	if err != nil {
		_ = os.RemoveAll(base)
		return nil, fmt.Errorf("copy %d layers: %w", len(r.Lower), err)
	}
	return t, nil
}

// build makes the tree in base, an empty directory.
func build(ctx context.Context, base string, r snapshot.Request) (*snapshot.Tree, error) {
	root := filepath.Join(base, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return nil, err
	}
	for _, lower := range r.Lower {
		if err := merge(ctx, lower, root); err != nil {
			return nil, err
		}
	}
	if r.Upper == "" {
		return open(root, nil, base)
	}
	before, err := record(root)
	if err != nil {
		return nil, err
	}
	if err := nextTick(base); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(r.Upper)
	if err != nil {
		return nil, err
	}
	// A fresh upper directory takes the looks of the topmost lower one.
	if len(entries) > 0 || len(r.Lower) == 0 {
		if err := merge(ctx, r.Upper, root); err != nil {
			return nil, err
		}
	}
	// Settle may be called when the caller's context is over.
	settle := func() error { return settle(root, r.Upper, before) }
	return open(root, settle, base)
}

func open(root string, settle func() error, base string) (*snapshot.Tree, error) {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: root, Err: err}
	}
	return snapshot.NewTree(os.NewFile(uintptr(fd), root), settle, func() error { return os.RemoveAll(base) }), nil
}

// nextTick waits until the filesystem's clock has gone on, so that whatever is
// changed from now on has another change time than what is there.
func nextTick(dir string) error {
	f, err := os.CreateTemp(dir, "tick-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var first, now unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &first); err != nil {
		return err
	}
	for now = first; now.Ctim == first.Ctim; {
		time.Sleep(500 * time.Microsecond)
		if err := f.Chmod(0o600); err != nil {
			return err
		}
		if err := unix.Fstat(int(f.Fd()), &now); err != nil {
			return err
		}
	}
	return nil
}
