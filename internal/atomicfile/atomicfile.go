package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mica-build/mica/internal/fault"
)

// Options configure Write. The zero value works.
type Options struct {
	// Perm is the file's mode; 0 is 0644.
	Perm fs.FileMode
	// TempDir is where the file is written before it is renamed, on the same
	// filesystem; "" is the file's own directory.
	TempDir string
	// Sync makes the content survive power loss once Write has returned.
	Sync bool
}

// Write replaces the file at path, whose directory it makes if need be, by one
// with data. On an error the old file stays and nothing else is left behind.
func Write(path string, data []byte, o Options) (err error) {
	dir := filepath.Dir(path)
	temp := o.TempDir
	if temp == "" {
		temp = dir
	}
	f, err := os.CreateTemp(temp, ".new-*")
	if errors.Is(err, fs.ErrNotExist) && temp == dir {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		f, err = os.CreateTemp(temp, ".new-*")
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := fill(f, data, o); err != nil {
		return err
	}
	err = fault.Rename(f.Name(), path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		err = fault.Rename(f.Name(), path)
	}
	if err == nil && o.Sync {
		err = syncDir(dir)
	}
	return err
}

func fill(f *os.File, data []byte, o Options) (err error) {
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	perm := o.Perm
	if perm == 0 {
		perm = 0o644
	}
	if n, err := f.Write(data); err != nil {
		return err
	} else if n < len(data) {
		return io.ErrShortWrite
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if o.Sync {
		return f.Sync()
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
