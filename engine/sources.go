package engine

import (
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/build/source"
)

// sourcesInUse is how long after their last use downloads may still be read by a
// build.
const sourcesInUse = 10 * time.Minute

// sources is what builds download to.
func (e *Engine) sources() *source.Client {
	return &source.Client{CacheDir: filepath.Join(e.store.Root(), "sources")}
}

// listSources adds what builds downloaded, as one entry.
func (e *Engine) listSources(c *cache) error {
	x := CacheEntry{ID: "sources", Type: typeSources, Description: "git repositories and downloads", Mutable: true}
	root := e.sources().CacheDir
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it vanished, or was never there
		}
		var st unix.Stat_t
		if unix.Lstat(path, &st) != nil {
			return nil
		}
		x.Size += st.Blocks * 512
		if used := time.Unix(st.Mtim.Unix()); !d.IsDir() && used.After(x.LastUsed) {
			x.LastUsed = used
		}
		return nil
	})
	if err != nil || x.LastUsed.IsZero() {
		return err
	}
	x.Created = x.LastUsed
	x.InUse = time.Since(x.LastUsed) < sourcesInUse
	c.entries = append(c.entries, x)
	return nil
}
