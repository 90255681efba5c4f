package engine

import (
	"context"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/ref"
)

// RemoteTags lists the tags that the registry has of the repository name, as
// references. name has neither tag nor digest.
func (e *Engine) RemoteTags(ctx context.Context, name string) ([]ref.Ref, error) {
	r, err := parseRepository(name)
	if err != nil {
		return nil, err
	}
	tags, err := e.registry.Repository(r).Tags(ctx)
	if err != nil {
		return nil, err
	}
	var out []ref.Ref
	for _, t := range tags {
		tagged, err := ref.Parse(r.Name() + ":" + t)
		if err != nil {
			return nil, badName(r.Name()+":"+t, err)
		}
		out = append(out, tagged)
	}
	if len(out) == 0 {
		return nil, refuse(errs.ErrNotFound, "%s has no tags", r.FamiliarName())
	}
	return out, nil
}

// LocalTags lists the tags that the store has of the repository name, sorted.
// name has neither tag nor digest; errs.ErrNotFound if there are none.
func (e *Engine) LocalTags(ctx context.Context, name string) ([]ref.Ref, error) {
	r, err := parseRepository(name)
	if err != nil {
		return nil, err
	}
	names, err := e.store.Names(ctx)
	if err != nil {
		return nil, err
	}
	var out []ref.Ref
	for _, n := range names {
		if nr, err := ref.ParseName(n.Ref); err == nil && nr.Name() == r.Name() && nr.Tag != "" && nr.Digest == "" {
			out = append(out, nr)
		}
	}
	if len(out) == 0 {
		return nil, refuse(errs.ErrNotFound, "An image does not exist locally with the tag: %s", r.FamiliarName())
	}
	return out, nil
}

// parseRepository reads a name that stands for all its tags.
func parseRepository(name string) (ref.Ref, error) {
	r, err := ref.ParseName(name)
	if err != nil {
		return r, badName(name, err)
	}
	if r.Tag != "" || r.Digest != "" {
		return r, refuse(errs.ErrInvalid, "tag can't be used with --all-tags/-a")
	}
	return r, notScratch(r)
}
