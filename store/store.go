//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/atomicfile"
)

// formatVersion is the layout this package reads and writes.
const formatVersion = 1

// formatPrefix is what the format file says before the version.
const formatPrefix = "mica store "

// folders are made by Open; the rest comes when it is needed.
var folders = []string{"blobs", "layers", "diffids", "records", "cachemounts", "state", "incoming", "leases", "tmp", "locks", "trash"}

// A Store is the local store in one directory. Any number of processes may
// have it open at once; a Store is safe for concurrent use.
type Store struct {
	root    string
	options Options
	names   nameCache
	lease   lease

	// background removal ends at Close
	background context.Context
	stop       context.CancelFunc
	removals   sync.WaitGroup
}

var _ content.Store = (*Store)(nil)

// Options configure Open. The zero value works.
type Options struct {
	// Durable makes published objects survive power loss (syncfs before publishing).
	Durable bool
	// Committed, if not nil, is called after each layer that was published. It
	// must not wait for the store.
	Committed func(LayerID)
}

// Open opens the store at root and makes it when it is not there. A directory
// that holds something else is errs.ErrInvalid, a store of a later version of
// mica errs.ErrUnsupported. Opening an existing store writes nothing, so a store
// on a read-only filesystem can be read.
func Open(root string, o Options) (*Store, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	err = checkFormat(root)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(root, o); err != nil && checkFormat(root) == nil {
			err = nil // another process was faster
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", root, advise(err))
	}
	s := &Store{root: root, options: o}
	s.background, s.stop = context.WithCancel(context.Background())
	return s, nil
}

func checkFormat(root string) error {
	b, err := os.ReadFile(filepath.Join(root, "format"))
	if err != nil {
		return err
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(string(b)), formatPrefix)
	v, err := strconv.Atoi(text)
	if !ok || err != nil || v < 1 {
		return fmt.Errorf("file format says %q: not a store of mica: %w", b, errs.ErrInvalid)
	}
	if v > formatVersion {
		return fmt.Errorf("it has format %d, this mica reads up to %d; use a newer mica, or another store with --root: %w", v, formatVersion, errs.ErrUnsupported)
	}
	return nil
}

// create makes the layout. The format file comes last; processes that do this at
// the same time do not disturb each other.
func create(root string, o Options) error {
	entries, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if n := e.Name(); !slices.Contains(folders, n) && n != "format" && !strings.HasPrefix(n, ".new-") && n != "lost+found" {
			return fmt.Errorf("the directory is neither empty nor a store of mica (it has %s): %w", n, errs.ErrInvalid)
		}
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	for _, d := range folders {
		if err := os.Mkdir(filepath.Join(root, d), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	format := fmt.Appendf(nil, "%s%d\n", formatPrefix, formatVersion)
	return atomicfile.Write(filepath.Join(root, "format"), format, atomicfile.Options{TempDir: filepath.Join(root, "tmp"), Sync: o.Durable})
}

// Close releases this process's lease. Objects that only the lease kept may
// then be collected by anyone. Drafts and temporary directories go.
// Nothing of the Store may be used afterwards, but Close may be called again.
func (s *Store) Close() error {
	s.stop()
	s.removals.Wait()
	if err := s.lease.close(s); err != nil {
		return fmt.Errorf("close store %s: %w", s.root, err)
	}
	return nil
}

// Root is the store's directory.
func (s *Store) Root() string { return s.root }

func (s *Store) path(elem ...string) string {
	return filepath.Join(s.root, filepath.Join(elem...))
}

// sync makes what was written so far durable if the store is to be.
func (s *Store) sync() error {
	if !s.options.Durable {
		return nil
	}
	d, err := os.Open(s.root)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// advise adds to errors of the machine what can be done about them.
func advise(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w (make room on the disk, `mica system prune` removes what is unused)", err)
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (choose a store you can write with --root or MICA_ROOT)", err)
	}
	return err
}
