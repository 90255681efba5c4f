package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/internal/table"
)

// errNameTooLong is what a name gives that no file can have.
const errNameTooLong = syscall.ENAMETOOLONG

// Update changes a repository.
func (x *index) Update(ctx context.Context, name string, f func(storage.Tx) error) error {
	publishing, err := x.publisher(ctx)
	if err != nil {
		return fmt.Errorf("update repository %s: %w", name, err)
	}
	defer publishing.Release()
	return x.update(ctx, name, func(t *table.Table) (*table.Tx, error) {
		tx := t.Begin()
		return tx, f(tx)
	})
}

// publisher keeps collections away.
func (x *index) publisher(ctx context.Context) (lock, error) {
	gate, err := lockShared(ctx, filepath.Join(x.root, "gate.lock"))
	if err != nil {
		return nil, err
	}
	defer gate.Release()
	return lockShared(ctx, filepath.Join(x.root, "publish.lock"))
}

// update makes the changes that f wants.
func (x *index) update(ctx context.Context, name string, f func(*table.Table) (*table.Tx, error)) error {
	r, err := x.repo(name)
	if err != nil {
		return fmt.Errorf("update repository %s: %w", name, err)
	}
	r.update.Lock()
	defer r.update.Unlock()
	log, err := lockLog(ctx, r.path)
	if err != nil {
		return fmt.Errorf("update repository %s: %w", name, err)
	}
	frees := false
	err = x.updateLocked(ctx, r, log, func(t *table.Table) (*table.Tx, error) {
		tx, err := f(t)
		frees = err == nil && tx.Removes()
		return tx, err
	})
	if full(err) && frees && x.giveReserve() {
		err = x.updateLocked(ctx, r, log, f)
	}
	if r.vain(log) {
		x.prune(r, log)
	} else {
		_ = log.Release()
	}
	return err
}

// vain says that there is nothing that the log is needed for. It is locked.
func (r *repo) vain(log lock) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if !r.t.Empty() || r.at.cut(log.File()) != nil {
		return false
	}
	_, err := os.Stat(damagedName(r.path))
	return errors.Is(err, fs.ErrNotExist)
}

// lockLog locks a log, which it makes if need be.
func lockLog(ctx context.Context, path string) (lock, error) {
	for {
		l, err := lockExclusive(ctx, path)
		if !errors.Is(err, fs.ErrNotExist) {
			return l, err
		}
		// Somebody may be removing these directories, as they are empty: again then.
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

func (x *index) updateLocked(ctx context.Context, r *repo, log lock, f func(*table.Table) (*table.Tx, error)) error {
	r.mu.Lock()
	err := r.at.read(log.File(), r)
	r.mu.Unlock()
	if err != nil {
		return fmt.Errorf("update repository %s: %w", r.name, err)
	}
	// Only who holds the log changes the table now: it can be read without r.mu.
	tx, err := f(r.t)
	if err != nil || len(tx.Changes) == 0 {
		return err
	}
	before, after := r.t.Usage(), tx.After()
	// Until the change is made the catalog says what there is at most.
	most := larger(before, after)
	if err := x.catalog.reserve(ctx, entry{r.name, most}, before.Bytes, after.Bytes-before.Bytes, tx.Limits); err != nil {
		return fmt.Errorf("update repository %s: %w", r.name, err)
	}
	err = tx.DoPublish()
	if err == nil {
		err = x.commit(r, log, tx.Changes)
	}
	if now := r.t.Usage(); now != most {
		// If that fails it is as if this process were killed here: see heal.
		_ = x.catalog.reserve(context.WithoutCancel(ctx), entry{r.name, now}, 0, 0, nil)
	}
	if err != nil {
		return fmt.Errorf("update repository %s: %w", r.name, err)
	}
	x.weigh(r, r.t.Weight())
	return nil
}

// larger has the larger of each number.
func larger(a, b storage.Usage) storage.Usage {
	return storage.Usage{
		Bytes: max(a.Bytes, b.Bytes), Blobs: max(a.Blobs, b.Blobs),
		Manifests: max(a.Manifests, b.Manifests), Tags: max(a.Tags, b.Tags),
	}
}

// commit adds the changes to the log and the table.
func (x *index) commit(r *repo, log lock, changes []table.Change) error {
	r.mu.RLock()
	at := r.at // readers may look at the log again meanwhile
	r.mu.RUnlock()
	if err := at.write(log.File(), table.Append(nil, changes), x.o.Durable); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.at.read(log.File(), r); err != nil {
		return err
	}
	if r.at.records > 2*r.t.Live()+1024 {
		_ = r.compact() // the change is made; if not now, then next time
	}
	return nil
}

// prune removes the log of a repository that has nothing, and the directories
// that are empty then.
func (x *index) prune(r *repo, log lock) {
	if log.Remove() != nil {
		return
	}
	root := filepath.Join(x.root, "repos")
	for dir := filepath.Dir(r.path); dir != root; dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			return
		}
	}
}
