package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/internal/fault"
	"github.com/mica-build/mica/registry/server/storage"
)

// Options configure Open. The zero value works.
type Options struct {
	// Durable makes what was acknowledged survive power loss, by fsync. Without it
	// that is left to the operating system; a killed process loses nothing either way.
	Durable bool
	// Existing opens only what is a registry: errs.ErrNotFound otherwise.
	Existing bool
}

// format is what the file "registry" says.
const format = "mica registry 1\n"

// Open opens a registry's directory and makes it if need be. Nothing has to be
// closed but notes of pulls are lost without Storage.Close.
func Open(root string, o Options) (*storage.Storage, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	if o.Existing {
		ready, rerr := prepared(root)
		if err = rerr; err == nil && !ready {
			err = errs.ErrNotFound
		}
	} else {
		err = prepare(root)
	}
	if err != nil {
		return nil, fmt.Errorf("open registry %s: %w", root, err)
	}
	keepReserve(root)
	return &storage.Storage{Blobs: newBlobs(root, o), Index: newIndex(root, o)}, nil
}

func prepare(root string) error {
	ready, err := prepared(root)
	if ready || err != nil {
		return err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	if err := checkStrange(root); err != nil {
		if ready, _ := prepared(root); ready { // by another process, just now
			return nil
		}
		return err
	}
	for _, dir := range []string{"blobs", "uploads", "repos", "trash", "damaged"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			return err
		}
	}
	// Not by way of the trash: another process may be emptying it already.
	return atomicfile.Write(filepath.Join(root, "registry"), []byte(format), atomicfile.Options{Perm: 0o600, Sync: true})
}

// prepared says whether root is a registry; one of another format is an error.
func prepared(root string) (bool, error) {
	mark := filepath.Join(root, "registry")
	got, err := os.ReadFile(mark)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case string(got) != format:
		return false, fmt.Errorf("%s says %q, want %q: %w", mark, got, format, errs.ErrUnsupported)
	}
	return true, nil
}

// checkStrange refuses a directory that has something else in it.
func checkStrange(root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Name() {
		case "blobs", "uploads", "repos", "trash", "damaged", "reserve", "lost+found": // another process is preparing it
		default:
			if e.Name()[0] == '.' {
				continue
			}
			return fmt.Errorf("there is something else in it (%s): %w", e.Name(), errs.ErrConflict)
		}
	}
	return nil
}

// sweepMarks removes the marks that processes killed while preparing root left half written.
func sweepMarks(root string, before time.Time) {
	paths, _ := filepath.Glob(filepath.Join(root, ".new-*"))
	for _, path := range paths {
		if st, err := os.Lstat(path); err == nil && st.ModTime().Before(before) {
			_ = fault.Remove(path)
		}
	}
}
