package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/mica-build/mica/registry/server/storage/internal/table"
)

// logName is a repository's log; no part of a repository's name begins with "_".
const logName = "_index.log"

// A repo is what was read of one repository's log.
type repo struct {
	name, path string

	update sync.Mutex // one writer of this process at a time

	mu sync.RWMutex // over what follows
	at position
	t  *table.Table

	changes []table.Change // of the record that is applied, to be used again
}

func newRepo(root, name string) *repo {
	return &repo{name: name, path: repoPath(root, name), t: table.New()}
}

func repoPath(root, name string) string {
	return filepath.Join(root, "repos", filepath.FromSlash(name), logName)
}

func (r *repo) reset() { r.t = table.New() }

func (r *repo) apply(payload string) error {
	changes, err := table.Decode(r.changes[:0], payload)
	if err != nil {
		return fmt.Errorf("repository %s: %w", r.name, err)
	}
	r.t.Apply(changes)
	clear(changes) // they hold on to the payload
	if r.changes = changes; cap(changes) > 16<<10 {
		r.changes = nil
	}
	return nil
}

// view calls f with the table as it is now; f only reads.
func (r *repo) view(f func(*table.Table)) error {
	r.mu.RLock()
	ok, err := r.at.current(r.path)
	if ok {
		f(r.t)
	}
	r.mu.RUnlock()
	if ok || err != nil {
		return err
	}
	return r.change(f)
}

// change is view for an f that may also sort.
func (r *repo) change(f func(*table.Table)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(); err != nil {
		return err
	}
	f(r.t)
	return nil
}

// refresh reads what is new. r.mu is held.
func (r *repo) refresh() error {
	file, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		if r.at.file != nil {
			r.at = position{}
			r.reset()
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	return r.at.read(file, r)
}

// compact replaces the log by a shorter one. It is locked, and so is r.mu.
func (r *repo) compact() error {
	return rewrite(r.path, func(add func([]byte) error) error {
		return r.t.Snapshot(func(part []table.Change) error {
			return add(table.Append(nil, part))
		})
	})
}
