package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/internal/table"
)

// batch is how many blobs are removed while nobody can publish.
const batch = 256

// Collect marks while everything goes on, and then looks once more at the
// repositories that changed meanwhile, while nothing does.
func (x *index) Collect(ctx context.Context, c storage.Collection) error {
	left := make(map[digest.Digest]bool, len(c.Candidates))
	for _, d := range c.Candidates {
		left[d] = true
	}
	since, err := x.quietMark(ctx, c.Dry)
	if err == nil {
		err = x.markAll(ctx, c, left)
	}
	if err != nil {
		return fmt.Errorf("find what is used: %w", err)
	}
	garbage := slices.DeleteFunc(slices.Clone(c.Candidates), func(d digest.Digest) bool { return !left[d] })
	for part := range slices.Chunk(garbage, batch) {
		if since, err = x.remove(ctx, c, part, left, since); err != nil {
			return err
		}
	}
	return nil
}

// quietMark is a point at which nobody is between saying in the catalog that a
// repository is to change, and changing it.
func (x *index) quietMark(ctx context.Context, dry bool) (mark, error) {
	if !dry {
		done, err := x.alone(ctx)
		if err != nil {
			return mark{}, err
		}
		defer done()
	}
	return x.catalog.mark()
}

// remove removes those of part that are left after looking once more.
func (x *index) remove(ctx context.Context, c storage.Collection, part []digest.Digest, left map[digest.Digest]bool, since mark) (mark, error) {
	if !c.Dry {
		done, err := x.alone(ctx)
		if err != nil {
			return since, err
		}
		defer done()
		if since, err = x.markChanged(ctx, c, left, since); err != nil {
			return since, fmt.Errorf("find what is used: %w", err)
		}
	}
	for _, d := range part {
		if !left[d] {
			continue
		}
		if err := errors.Join(ctx.Err(), c.Remove(d)); err != nil {
			return since, err
		}
	}
	return since, nil
}

// alone waits until nobody publishes and keeps it so.
func (x *index) alone(ctx context.Context) (done func(), err error) {
	gate, err := lockExclusive(ctx, filepath.Join(x.root, "gate.lock"))
	if err != nil {
		return nil, err
	}
	publish, err := lockExclusive(ctx, filepath.Join(x.root, "publish.lock"))
	if err != nil {
		_ = gate.Release()
		return nil, err
	}
	return func() {
		_ = publish.Release()
		_ = gate.Release()
	}, nil
}

func (x *index) markAll(ctx context.Context, c storage.Collection, left map[digest.Digest]bool) error {
	return x.eachRepository(ctx, func(name string) error {
		usage, err := x.mark(name, c, left)
		if err == nil && !c.Dry && (usage == storage.Usage{} || !x.catalog.says(name, usage)) {
			return x.heal(ctx, name)
		}
		return err
	})
}

// mark takes what a repository uses out of left.
func (x *index) mark(name string, c storage.Collection, left map[digest.Digest]bool) (storage.Usage, error) {
	r := newRepo(x.root, name) // not to be kept
	if _, err := os.Stat(damagedName(r.path)); !errors.Is(err, fs.ErrNotExist) {
		return storage.Usage{}, fmt.Errorf("repository %s: %s has what was behind a damage; look at it and remove it: %w",
			name, damagedName(r.path), errs.ErrConflict)
	}
	if err := r.whole(); err != nil {
		return storage.Usage{}, err
	}
	r.t.Uses(name, func(u storage.Use) {
		if c.Gone == nil || !c.Gone(u) {
			delete(left, u.Digest)
		}
	})
	return r.t.Usage(), nil
}

// whole reads the log and fails if it is damaged.
func (r *repo) whole() error {
	if err := r.refresh(); err != nil {
		return err
	}
	st, err := os.Stat(r.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && st.Size() <= r.at.good {
		return nil
	}
	if err != nil {
		return err
	}
	// Somebody may be writing; only what is not even the beginning of a record is damage.
	f, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer f.Close()
	tail := make([]byte, st.Size()-r.at.good)
	n, _ := f.ReadAt(tail, r.at.good)
	if n > 0 && r.at.good > 0 && !whole(tail[:n]) && !torn(tail[:n]) {
		return fmt.Errorf("repository %s: index is damaged at byte %d: %w", r.name, r.at.good, errs.ErrInvalid)
	}
	return nil
}

// whole says whether tail begins with a good record.
func whole(tail []byte) bool {
	var record []byte
	n, err := nextRecord(bytes.NewReader(tail), int64(len(tail)), &record)
	return n > 0 && err == nil
}

// markChanged marks the repositories that were changed since; all of them if the
// catalog cannot tell.
func (x *index) markChanged(ctx context.Context, c storage.Collection, left map[digest.Digest]bool, since mark) (mark, error) {
	names, now, err := x.catalog.changedSince(since)
	if err != nil {
		return since, err
	}
	again := func(name string) error {
		_, err := x.mark(name, c, left)
		return err
	}
	if names == nil {
		return now, x.eachRepository(ctx, again)
	}
	for _, name := range names {
		if err := again(name); err != nil {
			return since, err
		}
	}
	return now, nil
}

// A mark is a point in the life of the catalog.
type mark struct {
	header  string
	records int
}

func (c *catalog) mark() (mark, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.refresh()
	return mark{c.at.header, c.at.records}, err
}

// changedSince lists the repositories that the catalog named since; nil says
// that it cannot tell.
func (c *catalog) changedSince(since mark) (names []string, now mark, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refresh(); err != nil {
		return nil, since, err
	}
	now = mark{c.at.header, c.at.records}
	if since.header == "" || since.header != now.header {
		return nil, now, nil
	}
	names = []string{}
	for name, record := range c.changed {
		if record > since.records {
			names = append(names, name)
		}
	}
	return names, now, nil
}

// heal has the catalog say what a repository has, as the last one who changed it
// may not have come to that. One that has nothing is removed.
func (x *index) heal(ctx context.Context, name string) error {
	return x.update(ctx, name, func(t *table.Table) (*table.Tx, error) {
		if x.catalog.says(name, t.Usage()) {
			return t.Begin(), nil
		}
		return t.Begin(), x.catalog.reserve(ctx, entry{name, t.Usage()}, 0, 0, nil)
	})
}
