package files

import (
	"bufio"
	"errors"
	"os"

	"github.com/mica-build/mica/internal/fault"
)

// rewrite replaces the log at path, which the caller has locked, by one with the
// records that fill adds. Those who wait for the lock go on with the new one.
func rewrite(path string, fill func(add func([]byte) error) error) (err error) {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(next)
		}
	}()
	w := bufio.NewWriterSize(f, 256<<10)
	_, _ = w.Write(newHeader()) // Flush tells of errors
	err = fill(func(payload []byte) error {
		b, err := appendRecord(nil, payload)
		if err == nil {
			_, err = w.Write(b)
		}
		return err
	})
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync() // rare, and everything depends on it
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fault.Rename(next, path)
}
