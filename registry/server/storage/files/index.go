package files

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/internal/table"
)

var _ storage.Index = (*index)(nil)

// maxTables bounds the memory of the tables that are kept, in bytes. One that is
// in use is kept in any case.
const maxTables = 24 << 20

type index struct {
	root    string
	o       Options
	catalog *catalog
	notes   notes

	mu    sync.Mutex
	repos map[string]*list.Element // of *cached
	order list.List                // the last used first
	bytes int
}

type cached struct {
	r      *repo
	weight int
}

func newIndex(root string, o Options) *index {
	x := &index{root: root, o: o, catalog: newCatalog(root), repos: map[string]*list.Element{}}
	x.notes.flush = func() { _ = x.Flush(context.Background()) } // what cannot be written now is lost
	return x
}

// repo gives a repository, which may have nothing.
func (x *index) repo(name string) (*repo, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e := x.repos[name]; e != nil {
		x.order.MoveToFront(e)
		return e.Value.(*cached).r, nil
	}
	r := newRepo(x.root, name)
	// What is not there is not kept: anybody can ask for it.
	if _, err := os.Stat(r.path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNameTooLong) {
		return r, nil
	} else if err != nil {
		return nil, err
	}
	x.repos[name] = x.order.PushFront(&cached{r: r})
	return r, nil
}

// weigh notes how large a table has become and lets others go.
func (x *index) weigh(r *repo, weight int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.repos[r.name]
	if e == nil || e.Value.(*cached).r != r {
		return
	}
	c := e.Value.(*cached)
	x.bytes += weight - c.weight
	c.weight = weight
	for x.bytes > maxTables && x.order.Len() > 1 {
		last := x.order.Back()
		old := x.order.Remove(last).(*cached)
		delete(x.repos, old.r.name)
		x.bytes -= old.weight
	}
}

// read calls f with a repository's table.
func (x *index) read(ctx context.Context, name string, f func(*table.Table)) error {
	r, err := x.repo(name)
	if err != nil {
		return err
	}
	weight := 0
	if err := r.view(func(t *table.Table) {
		weight = t.Weight()
		f(t)
	}); err != nil {
		return fmt.Errorf("repository %s: %w", name, err)
	}
	x.weigh(r, weight)
	return ctx.Err()
}

// find is read for what gives one thing.
func find[V any](ctx context.Context, x *index, name string, f func(*table.Table) (V, error)) (v V, err error) {
	rerr := x.read(ctx, name, func(t *table.Table) { v, err = f(t) })
	if rerr != nil {
		return v, rerr
	}
	return v, err
}

// Blob finds a link.
func (x *index) Blob(ctx context.Context, repo string, d digest.Digest) (storage.Link, error) {
	return find(ctx, x, repo, func(t *table.Table) (storage.Link, error) { return t.Blob(d) })
}

// Manifest finds a manifest.
func (x *index) Manifest(ctx context.Context, repo string, d digest.Digest) (storage.Manifest, error) {
	return find(ctx, x, repo, func(t *table.Table) (storage.Manifest, error) { return t.Manifest(d) })
}

// Tag finds a tag.
func (x *index) Tag(ctx context.Context, repo, tag string) (storage.Tag, error) {
	return find(ctx, x, repo, func(t *table.Table) (storage.Tag, error) { return t.Tag(tag) })
}

// TagNames lists names of tags.
func (x *index) TagNames(ctx context.Context, repo string, p storage.Page) (names []string, err error) {
	list := func(t *table.Table) {
		if t.Usage().Manifests == 0 {
			err = fmt.Errorf("repository %s: %w", repo, errs.ErrNotFound)
			return
		}
		names = t.TagNames(p)
	}
	ready := false
	rerr := x.read(ctx, repo, func(t *table.Table) {
		if ready = t.NamesReady(); ready {
			list(t)
		}
	})
	if rerr != nil || ready {
		return names, errors.Join(rerr, err)
	}
	r, rerr := x.repo(repo)
	if rerr == nil {
		rerr = r.change(list)
	}
	return names, errors.Join(rerr, err)
}

// Tags lists tags.
func (x *index) Tags(ctx context.Context, repo string, p storage.Page) ([]storage.Tag, error) {
	r, err := x.repo(repo)
	if err != nil {
		return nil, err
	}
	var out []storage.Tag
	err = r.change(func(t *table.Table) { out = t.Tags(p) })
	return out, errors.Join(err, ctx.Err())
}

// Manifests lists manifests.
func (x *index) Manifests(ctx context.Context, repo string, p storage.Page) ([]storage.Manifest, error) {
	return find(ctx, x, repo, func(t *table.Table) ([]storage.Manifest, error) { return t.Manifests(p), nil })
}

// Links lists blobs.
func (x *index) Links(ctx context.Context, repo string, p storage.Page) ([]storage.Link, error) {
	return find(ctx, x, repo, func(t *table.Table) ([]storage.Link, error) { return t.Links(p), nil })
}

// Referrers lists what refers to d.
func (x *index) Referrers(ctx context.Context, repo string, d digest.Digest) ([]storage.Manifest, error) {
	return find(ctx, x, repo, func(t *table.Table) ([]storage.Manifest, error) { return t.Referrers(d), nil })
}

// Repositories lists repositories.
func (x *index) Repositories(ctx context.Context, p storage.Page) ([]storage.Repository, error) {
	list, err := x.catalog.list(p)
	if err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	return list, ctx.Err()
}

// maxAsked bounds the repositories that Holders reads.
const maxAsked = 256

// Holders looks at the repositories that are in memory and, where there are not
// many, at the others.
func (x *index) Holders(ctx context.Context, d digest.Digest) ([]string, error) {
	x.mu.Lock()
	var names []string
	for e := x.order.Front(); e != nil; e = e.Next() {
		names = append(names, e.Value.(*cached).r.name)
	}
	x.mu.Unlock()
	if all, err := x.catalog.list(storage.Page{}); err == nil && len(all) <= maxAsked {
		names = names[:0]
		for _, r := range all {
			names = append(names, r.Name)
		}
	}
	var out []string
	for _, name := range names[:min(len(names), maxAsked)] {
		if _, err := x.Blob(ctx, name, d); err == nil {
			out = append(out, name)
		} else if !errors.Is(err, errs.ErrNotFound) {
			return nil, err
		}
	}
	return out, nil
}

// eachRepository calls f with the name of every repository that has a log.
func (x *index) eachRepository(ctx context.Context, f func(name string) error) error {
	root := filepath.Join(x.root, "repos")
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || e.IsDir() || e.Name() != logName {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		return f(filepath.ToSlash(name))
	})
}
