package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Prune removes what no build has used since before: bodies, records, mirrors,
// and what killed processes left. It gives the number of bytes freed. Builds may
// run meanwhile as long as before is further back than a build takes.
func (c *Client) Prune(ctx context.Context, before time.Time) (freed int64, err error) {
	var failed []error
	for _, part := range []struct {
		dir   string
		prune func(context.Context, string, time.Time) (int64, error)
	}{
		{filepath.Join("http", "body"), pruneFiles},
		{"http", pruneFiles},
		{"git", pruneMirrors},
	} {
		n, err := part.prune(ctx, filepath.Join(c.CacheDir, part.dir), before)
		freed += n
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, fmt.Errorf("prune sources: %w", err))
		}
	}
	return freed, errors.Join(failed...)
}

// stale lists the entries of dir that were last used before the given time.
func stale(dir string, before time.Time) ([]fs.FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var old []fs.FileInfo
	for _, e := range entries {
		fi, err := e.Info()
		if err == nil && fi.ModTime().Before(before) {
			old = append(old, fi)
		}
	}
	return old, nil
}

// pruneFiles removes stale files; lock files stay, as others may wait on them.
func pruneFiles(ctx context.Context, dir string, before time.Time) (freed int64, err error) {
	old, err := stale(dir, before)
	for _, fi := range old {
		if ctx.Err() != nil {
			return freed, context.Cause(ctx)
		}
		if !fi.Mode().IsRegular() || strings.HasSuffix(fi.Name(), ".lock") {
			continue
		}
		if e := os.Remove(filepath.Join(dir, fi.Name())); e != nil {
			err = e
			continue
		}
		freed += fi.Size()
	}
	return freed, err
}

// pruneMirrors removes stale mirrors and abandoned checkouts. A mirror is moved
// aside under its lock, so that the next user starts a new one at once.
func pruneMirrors(ctx context.Context, dir string, before time.Time) (freed int64, err error) {
	old, err := stale(dir, before)
	for _, fi := range old {
		if !fi.IsDir() {
			continue
		}
		path := filepath.Join(dir, fi.Name())
		if !strings.HasPrefix(fi.Name(), "tmp-") {
			moved, e := setAside(ctx, path, before)
			if e != nil {
				err = e
			}
			if moved == "" {
				continue
			}
			path = moved
		}
		freed += diskSize(path)
		if e := os.RemoveAll(path); e != nil {
			err = e
		}
	}
	return freed, err
}

// setAside renames a mirror that is still stale once it is locked.
func setAside(ctx context.Context, path string, before time.Time) (moved string, err error) {
	l, err := acquire(ctx, path+".lock", unix.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer l.release()
	fi, err := os.Stat(path)
	if err != nil || !fi.ModTime().Before(before) {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), "tmp-*")
	if err != nil {
		return "", err
	}
	return tmp, os.Rename(path, filepath.Join(tmp, "mirror"))
}

// diskSize adds up the sizes of the files below path, as far as they can be seen.
func diskSize(path string) int64 {
	var n int64
	_ = filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // counts what it can
		}
		if fi, err := d.Info(); err == nil && fi.Mode().IsRegular() {
			n += fi.Size()
		}
		return nil
	})
	return n
}
