package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/internal/table"
)

var _ storage.Index = (*index)(nil)

// index has one lock for everything, which also keeps Collect and Update apart.
type index struct {
	mu    sync.Mutex
	repos map[string]*table.Table
}

func newIndex() *index { return &index{repos: map[string]*table.Table{}} }

var none = table.New()

// repo is a repository's table; one that is not there is empty.
func (x *index) repo(name string) *table.Table {
	if t := x.repos[name]; t != nil {
		return t
	}
	return none
}

// Blob finds a link.
func (x *index) Blob(_ context.Context, repo string, d digest.Digest) (storage.Link, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.repo(repo).Blob(d)
}

// Manifest finds a manifest.
func (x *index) Manifest(_ context.Context, repo string, d digest.Digest) (storage.Manifest, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.repo(repo).Manifest(d)
}

// Tag finds a tag.
func (x *index) Tag(_ context.Context, repo, tag string) (storage.Tag, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.repo(repo).Tag(tag)
}

// TagNames lists names of tags.
func (x *index) TagNames(_ context.Context, repo string, p storage.Page) ([]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.repos[repo]
	if t == nil || t.Usage().Manifests == 0 {
		return nil, fmt.Errorf("repository %s: %w", repo, errs.ErrNotFound)
	}
	return t.TagNames(p), nil
}

// Tags lists tags.
func (x *index) Tags(_ context.Context, repo string, p storage.Page) ([]storage.Tag, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.repo(repo).Tags(p), nil
}

// Manifests lists manifests.
func (x *index) Manifests(_ context.Context, repo string, p storage.Page) ([]storage.Manifest, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.repo(repo).Manifests(p), nil
}

// Links lists blobs.
func (x *index) Links(_ context.Context, repo string, p storage.Page) ([]storage.Link, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.repo(repo).Links(p), nil
}

// Referrers lists what refers to d.
func (x *index) Referrers(_ context.Context, repo string, d digest.Digest) ([]storage.Manifest, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.repo(repo).Referrers(d), nil
}

// Repositories lists repositories.
func (x *index) Repositories(_ context.Context, p storage.Page) ([]storage.Repository, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []storage.Repository
	for _, name := range slices.Sorted(maps.Keys(x.repos)) {
		out = append(out, storage.Repository{Name: name, Usage: x.repos[name].Usage()})
	}
	return table.Cut(out, p, func(r storage.Repository) string { return r.Name }), nil
}

// Holders lists the repositories that have d.
func (x *index) Holders(_ context.Context, d digest.Digest) ([]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for name, t := range x.repos {
		if _, err := t.Blob(d); err == nil {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Update changes a repository.
func (x *index) Update(_ context.Context, repo string, f func(storage.Tx) error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.repos[repo]
	if t == nil {
		t = table.New()
	}
	tx := t.Begin()
	if err := f(tx); err != nil {
		return err
	}
	if err := x.check(repo, tx); err != nil {
		return err
	}
	if err := tx.DoPublish(); err != nil {
		return err
	}
	t.Apply(tx.Changes)
	if x.repos[repo] = t; t.Empty() {
		delete(x.repos, repo)
	}
	return nil
}

// check holds an update against its limits.
func (x *index) check(repo string, tx *table.Tx) error {
	more := tx.Added()
	if more <= 0 {
		return nil
	}
	for _, l := range tx.Limits {
		if !l.Covers(repo) {
			continue
		}
		var used int64
		for name, t := range x.repos {
			if l.Covers(name) {
				used += t.Usage().Bytes
			}
		}
		if used+more > l.Bytes {
			return &storage.QuotaError{Limit: l, Used: used, More: more}
		}
	}
	return nil
}

// Pulled notes a pull.
func (x *index) Pulled(repo, tag string, d digest.Digest, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if t := x.repos[repo]; t != nil {
		t.Apply([]table.Change{table.Pulled(tag, d, at.UnixNano())})
	}
}

// Flush does nothing.
func (x *index) Flush(context.Context) error { return nil }

// Collect removes what nobody has.
func (x *index) Collect(ctx context.Context, c storage.Collection) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	used := map[digest.Digest]bool{}
	for name, t := range x.repos {
		t.Uses(name, func(u storage.Use) {
			if c.Gone == nil || !c.Gone(u) {
				used[u.Digest] = true
			}
		})
	}
	for _, d := range c.Candidates {
		if err := ctx.Err(); err != nil {
			return err
		}
		if used[d] {
			continue
		}
		if err := c.Remove(d); err != nil {
			return err
		}
	}
	return nil
}
