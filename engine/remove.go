package engine

import (
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

// A Removed is one thing that Remove or Prune did: exactly one field is set.
type Removed struct {
	Untagged string // a short reference
	Deleted  string // an image ID
}

// Remove takes the name from an image, and deletes the image when it was the
// last one. An ID deletes the image with all its names; if they are in several
// repositories only with force (errs.ErrConflict otherwise). The bytes are
// freed by the next Collect.
func (e *Engine) Remove(ctx context.Context, name string, force bool) ([]Removed, error) {
	m, key, err := e.find(ctx, name, e.platform)
	if err != nil {
		return nil, err
	}
	if key == "" {
		if !force && !m.oneRepository() {
			return nil, refuse(errs.ErrConflict,
				"conflict: unable to delete %s (must be forced) - image is referenced in multiple repositories", m.ID.Encoded()[:12])
		}
		users, err := e.usedBy(m.ID)
		if err == nil {
			err = refuseInUse(m, key, name, users, force)
		}
		if err != nil {
			return nil, err
		}
		return e.delete(ctx, m)
	}
	refs := m.goesWith(key)
	if len(refs) == len(m.Names)+len(m.Digests) {
		users, err := e.usedBy(m.ID)
		if err == nil {
			err = refuseInUse(m, key, name, users, force)
		}
		if err != nil {
			return nil, err
		}
		if len(users) > 0 {
			return e.untag(ctx, refs, true)
		}
		return e.delete(ctx, m)
	}
	return e.untag(ctx, refs, false)
}

// untag takes names away. With keep the image stays, without a name.
func (e *Engine) untag(ctx context.Context, refs []string, keep bool) ([]Removed, error) {
	var done []Removed
	for _, r := range refs {
		if err := e.withRoom(ctx, func() error { return e.store.Untag(ctx, r, keep) }); err != nil {
			return done, err
		}
		done = append(done, Removed{Untagged: Familiar(r)})
	}
	return done, nil
}

// delete removes all names of m and what keeps it without one.
func (e *Engine) delete(ctx context.Context, m Image) ([]Removed, error) {
	var done []Removed
	for _, r := range slices.Concat(m.Names, m.Digests) {
		done = append(done, Removed{Untagged: Familiar(r)})
	}
	for _, t := range m.Targets {
		if err := e.withRoom(ctx, func() error { return e.store.Forget(ctx, t.Digest) }); err != nil {
			return nil, err
		}
	}
	return append(done, Removed{Deleted: m.ID.String()}), nil
}

// withRoom does what makes room in the end, but needs a little of it first: on a
// full disk garbage is collected before.
func (e *Engine) withRoom(ctx context.Context, f func() error) error {
	err := f()
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	if _, cerr := e.Collect(ctx); cerr != nil {
		return errors.Join(err, cerr)
	}
	return f()
}

// oneRepository says whether the image has at most one tag, and no digest of
// another repository.
func (m Image) oneRepository() bool {
	refs := slices.Concat(m.Names, m.Digests)
	if len(refs) <= 1 {
		return true
	}
	if len(m.Names) > 1 {
		return false
	}
	return !slices.ContainsFunc(refs, func(r string) bool { return repository(r) != repository(refs[0]) })
}

// goesWith lists the names that are removed with key: the digests of its
// repository go with the last tag there.
func (m Image) goesWith(key string) []string {
	refs := []string{key}
	if strings.Contains(key, "@") {
		return refs
	}
	same := func(r string) bool { return r != key && repository(r) == repository(key) }
	if slices.ContainsFunc(m.Names, same) {
		return refs
	}
	for _, d := range m.Digests {
		if same(d) {
			refs = append(refs, d)
		}
	}
	return refs
}

// Collect frees what no image, no cache record and no running mica needs, and
// says how many bytes on disk that were.
func (e *Engine) Collect(ctx context.Context) (int64, error) {
	r, err := e.collect(ctx, store.PruneOptions{})
	return r.Reclaimed, err
}

// collect prunes the store, without what the engine has only looked at in the way.
func (e *Engine) collect(ctx context.Context, o store.PruneOptions) (store.Report, error) {
	if err := e.view.Unpin(ctx); err != nil {
		return store.Report{}, err
	}
	return e.store.Prune(ctx, o)
}
