package atomicfile

import (
	"bufio"
	"io"
	"os"
	"path/filepath"

	"github.com/mica-build/mica/internal/fault"
)

// Stream is Write for content that is produced piece by piece: the file appears
// when fill has returned without an error. TempDir is ignored.
func Stream(path string, o Options, fill func(io.Writer) error) (err error) {
	perm := o.Perm
	if perm == 0 {
		perm = 0o644
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := fill(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if o.Sync {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return fault.Rename(f.Name(), path)
}
