//go:build linux

package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/internal/lockfile"
)

// Sharing is how concurrent users of a cache mount get along.
type Sharing int

// The sharing modes of RUN --mount=type=cache.
const (
	Shared  Sharing = iota // all use one directory at once
	Private                // a busy directory is not waited for: another one is used
	Locked                 // wait until the other user is done
)

// maxInstances bounds the directories of one private cache mount.
const maxInstances = 1024

// CacheMount gives the directory of the cache mount id. fill is called on a new,
// empty directory before anyone sees it; it may be nil. release lets others in;
// it may be called twice. A user that dies lets others in too.
//
// Each instance of a cache mount is a directory with a lock file, which is locked
// while it is in use: shared by Shared users, exclusively by the others.
func (s *Store) CacheMount(ctx context.Context, id string, sharing Sharing, fill func(dir string) error) (dir string, release func(), err error) {
	dir, lock, err := s.cacheMount(ctx, id, sharing, fill)
	if err != nil {
		return "", nil, fmt.Errorf("cache mount %s: %w", id, advise(err))
	}
	touch(lock.File())
	return filepath.Join(dir, "fs"), sync.OnceFunc(func() {
		touch(lock.File())
		_ = lock.Release()
	}), nil
}

func (s *Store) cacheMount(ctx context.Context, id string, sharing Sharing, fill func(string) error) (string, *lockfile.Lock, error) {
	for i := range maxInstances {
		dir := s.path("cachemounts", hashName(id), strconv.Itoa(i))
		for {
			lock, err := acquireMount(ctx, filepath.Join(dir, "lock"), sharing)
			if err == nil {
				return dir, lock, nil
			}
			if errors.Is(err, errs.ErrConflict) {
				break // a private mount tries the next instance
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return "", nil, err
			}
			if err := s.newCacheMount(ctx, dir, id, fill); err != nil {
				return "", nil, err
			}
		}
	}
	return "", nil, fmt.Errorf("all %d private directories are in use: %w", maxInstances, errs.ErrConflict)
}

func acquireMount(ctx context.Context, path string, sharing Sharing) (*lockfile.Lock, error) {
	switch sharing {
	case Private:
		return lockfile.Try(path, lockfile.Exclusive)
	case Locked:
		return lockfile.Acquire(ctx, path, lockfile.Exclusive)
	default:
		return lockfile.Acquire(ctx, path, lockfile.Shared)
	}
}

// newCacheMount makes the instance dir, unless another one does so first.
func (s *Store) newCacheMount(ctx context.Context, dir, id string, fill func(string) error) error {
	unlock, err := s.Lock(ctx, "make "+dir)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Lstat(dir); err == nil {
		return nil
	}
	tmp, err := s.TempDir(ctx, "cachemount-")
	if err != nil {
		return err
	}
	defer removeAll(tmp)
	tree := filepath.Join(tmp, "fs")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(tree, 0o755); err != nil {
		return err
	}
	if fill != nil {
		if err := fill(tree); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	for name, text := range map[string]string{"id": id, "lock": ""} {
		if err := os.WriteFile(filepath.Join(tmp, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return s.publish(ctx, nil, func() error { return s.rename(tmp, dir) })
}

// touch remembers the time of use.
func touch(f *os.File) {
	now := time.Now()
	_ = os.Chtimes(f.Name(), now, now)
}

// CacheMountInfo describes one cache mount directory.
type CacheMountInfo struct {
	ID       string
	Usage    int64
	LastUsed time.Time
	InUse    bool
}

// CacheMounts lists the cache mounts. One that was used as Private by several at
// once has several entries with the same ID.
func (s *Store) CacheMounts(ctx context.Context) ([]CacheMountInfo, error) {
	list, err := s.cacheMounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("list cache mounts: %w", err)
	}
	out := make([]CacheMountInfo, 0, len(list))
	for _, c := range list {
		out = append(out, c.CacheMountInfo)
	}
	return out, nil
}

// A mountDir is one instance of a cache mount.
type mountDir struct {
	CacheMountInfo
	dir string
}

func (s *Store) cacheMounts(ctx context.Context) ([]mountDir, error) {
	dirs, err := filepath.Glob(s.path("cachemounts", "*", "*"))
	if err != nil {
		return nil, err
	}
	var out []mountDir
	for _, dir := range dirs {
		c := mountDir{dir: dir}
		id, err := os.ReadFile(filepath.Join(dir, "id"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.ID = string(id)
		lock := filepath.Join(dir, "lock")
		if st, err := os.Stat(lock); err == nil {
			c.LastUsed = st.ModTime()
		}
		l, err := lockfile.Try(lock, lockfile.Exclusive)
		if err == nil {
			l.Release()
		}
		c.InUse = errors.Is(err, errs.ErrConflict)
		m := meter{ctx: ctx}
		if c.Usage, err = m.measure(dir); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
