package engine

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/ref"
)

// A Filter chooses images. The zero value lets all through; of several fields
// all must hold.
type Filter struct {
	References []string  // patterns as path.Match has them, of which one must match; only names that match are kept
	Dangling   *bool     // without, or with, a name
	Labels     []string  // "key" or "key=value", all of which the image must have
	NotLabels  []string  // and those of which it must have none
	Before     []string  // images than one of which it is older
	Since      []string  // images than one of which it is newer
	Until      time.Time // it was made before; zero is no bound
}

func (f Filter) apply(ctx context.Context, e *Engine, all []Image) ([]Image, error) {
	for _, p := range f.References {
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("filter reference=%s: %w: %w", p, err, errs.ErrInvalid)
		}
	}
	before, err := e.created(ctx, f.Before, slices.MaxFunc[[]time.Time])
	if err != nil {
		return nil, err
	}
	since, err := e.created(ctx, f.Since, slices.MinFunc[[]time.Time])
	if err != nil {
		return nil, err
	}
	var out []Image
	for _, m := range all {
		m, ok := f.references(m)
		switch {
		case !ok:
		case f.Dangling != nil && *f.Dangling != m.Dangling():
		case !f.labels(m):
		case before != nil && !m.Created.Before(*before):
		case since != nil && !m.Created.After(*since):
		case !f.Until.IsZero() && !m.Created.Before(f.Until):
		default:
			out = append(out, m)
		}
	}
	return out, nil
}

// created finds when the images were made and picks one of the times.
func (e *Engine) created(ctx context.Context, names []string, pick func([]time.Time, func(a, b time.Time) int) time.Time) (*time.Time, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var times []time.Time
	for _, n := range names {
		m, err := e.Image(ctx, n)
		if err != nil {
			return nil, err
		}
		times = append(times, m.Created)
	}
	t := pick(times, time.Time.Compare)
	return &t, nil
}

// references gives m with only those names that a pattern matches.
func (f Filter) references(m Image) (Image, bool) {
	if len(f.References) == 0 {
		return m, true
	}
	keep := func(refs []string) (out []string) {
		for _, r := range refs {
			if slices.ContainsFunc(f.References, func(p string) bool { return matchReference(p, r) }) {
				out = append(out, r)
			}
		}
		return out
	}
	m.Names, m.Digests = keep(m.Names), keep(m.Digests)
	return m, !m.Dangling()
}

// matchReference holds pattern against the short and the full form of name, with
// tag and without.
func matchReference(pattern, name string) bool {
	r, err := ref.ParseName(name)
	if err != nil {
		return false
	}
	for _, s := range []string{r.Familiar(), r.FamiliarName(), r.String(), r.Name()} {
		if ok, _ := path.Match(pattern, s); ok {
			return true
		}
	}
	return false
}

func (f Filter) labels(m Image) bool {
	has := func(want string) bool { return hasLabel(m.Config.Config.Labels, want) }
	for _, l := range f.Labels {
		if !has(l) {
			return false
		}
	}
	return !slices.ContainsFunc(f.NotLabels, has)
}

// hasLabel says whether labels have want, which is "key" or "key=value".
func hasLabel(labels map[string]string, want string) bool {
	key, value, exact := strings.Cut(want, "=")
	v, ok := labels[key]
	return ok && (!exact || v == value)
}
