//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Usage sums what the store holds, in bytes on disk.
type Usage struct {
	Blobs, Layers, CacheMounts, Other int64
}

// Total is the sum, what du says of the store's directory.
func (u Usage) Total() int64 { return u.Blobs + u.Layers + u.CacheMounts + u.Other }

// Usage measures the store. The sum agrees with du: blocks in use, files with
// several links once, in the part where they are met first.
func (s *Store) Usage(ctx context.Context) (Usage, error) {
	var u Usage
	parts := map[string]*int64{"blobs": &u.Blobs, "layers": &u.Layers, "cachemounts": &u.CacheMounts}
	m := meter{ctx: ctx}
	entries, err := os.ReadDir(s.root)
	if err == nil {
		u.Other, err = m.file(s.root)
	}
	for _, e := range entries {
		if err != nil {
			break
		}
		var n int64
		n, err = m.measure(s.path(e.Name()))
		if to := parts[e.Name()]; to != nil {
			*to = n
		} else {
			u.Other += n
		}
	}
	if err != nil {
		return Usage{}, fmt.Errorf("measure store: %w", err)
	}
	return u, nil
}

// A meter adds up blocks. Files that vanish while it looks count as nothing.
type meter struct {
	ctx context.Context
	// freed counts files with several links only when all links were met: what
	// removing them gives back.
	freed bool
	seen  map[inode]uint64
}

type inode struct{ dev, ino uint64 }

func (m *meter) measure(path string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil {
			err = m.ctx.Err()
		}
		if err == nil {
			var n int64
			n, err = m.file(p)
			sum += n
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return sum, err
}

func (m *meter) file(path string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 && !m.counts(&st) {
		return 0, nil
	}
	return st.Blocks * 512, nil
}

// counts says whether the link that was met now is the one to count.
func (m *meter) counts(st *unix.Stat_t) bool {
	if m.seen == nil {
		m.seen = map[inode]uint64{}
	}
	k := inode{st.Dev, st.Ino}
	m.seen[k]++
	if m.freed {
		return m.seen[k] == uint64(st.Nlink)
	}
	return m.seen[k] == 1
}
