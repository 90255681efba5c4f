package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

// A Retention says which tags of some repositories are deleted: those that no Keep
// holds. Tags that are immutable stay in any case.
type Retention struct {
	Repositories []string `toml:"repositories"` // patterns, as in a Rule
	Tags         []string `toml:"tags"`         // patterns of the tags it is about; none is all
	Keep         []Keep   `toml:"keep"`
}

// A Keep holds a tag if everything that it says is so.
type Keep struct {
	Tags         []string `toml:"tags"`          // patterns
	Last         int      `toml:"last"`          // the tag is one of so many that were pushed last
	PushedWithin Age      `toml:"pushed-within"` // pushed not longer ago
	PulledWithin Age      `toml:"pulled-within"` // pulled not longer ago; pushing counts
}

// An Age is a time like "12h" or "30d".
type Age time.Duration

// UnmarshalText reads an age.
func (a *Age) UnmarshalText(text []byte) error {
	s := string(text)
	var days int
	if n, err := fmt.Sscanf(s, "%dd", &days); n == 1 && err == nil && s == fmt.Sprintf("%dd", days) && days >= 0 && days < 100_000 {
		*a = Age(time.Duration(days) * 24 * time.Hour)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("it is negative")
	}
	*a = Age(d)
	return err
}

func (r Retention) check() error {
	if len(r.Repositories) == 0 || len(r.Keep) == 0 {
		return fmt.Errorf("it needs repositories and at least one [[retention.keep]]: %w", errs.ErrInvalid)
	}
	for _, k := range r.Keep {
		if len(k.Tags) == 0 && k.Last <= 0 && k.PushedWithin <= 0 && k.PulledWithin <= 0 {
			return fmt.Errorf("a [[retention.keep]] says nothing: %w: give tags, last, pushed-within or pulled-within", errs.ErrInvalid)
		}
	}
	return nil
}

// An Expired is a tag that retention deletes.
type Expired struct {
	Repository string
	storage.Tag
}

// Retain deletes the tags that the config's retention rules do not keep, and gives
// them; with dry it only gives them. What only they led to is left to a garbage
// collection of untagged manifests.
func (c *Config) Retain(ctx context.Context, s *storage.Storage, now time.Time, dry bool) ([]Expired, error) {
	if len(c.Retention) == 0 {
		return nil, nil
	}
	if err := s.Index.Flush(ctx); err != nil {
		return nil, err
	}
	repos, err := s.Index.Repositories(ctx, storage.Page{})
	if err != nil {
		return nil, err
	}
	var all []Expired
	for _, r := range repos {
		gone, err := c.retain(ctx, s, r.Name, now, dry)
		all = append(all, gone...)
		if err != nil {
			return all, fmt.Errorf("retention in %s: %w", r.Name, err)
		}
	}
	return all, nil
}

func (c *Config) retain(ctx context.Context, s *storage.Storage, repo string, now time.Time, dry bool) ([]Expired, error) {
	tags, err := s.Index.Tags(ctx, repo, storage.Page{})
	if errors.Is(err, errs.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var gone []Expired
	for _, t := range c.expired(repo, tags, now) {
		if !dry {
			deleted, err := deleteUnmoved(ctx, s, repo, t)
			if err != nil {
				return gone, err
			}
			if !deleted {
				continue
			}
		}
		gone = append(gone, Expired{repo, t})
	}
	return gone, nil
}

// deleteUnmoved deletes a tag unless somebody has pushed or deleted it meanwhile.
func deleteUnmoved(ctx context.Context, s *storage.Storage, repo string, t storage.Tag) (deleted bool, err error) {
	err = s.Index.Update(ctx, repo, func(tx storage.Tx) error {
		now, err := tx.Tag(t.Name)
		if errors.Is(err, errs.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if now.Digest == t.Digest && now.Pushed.Equal(t.Pushed) {
			tx.DeleteTag(t.Name)
			deleted = true
		}
		return nil
	})
	return deleted, err
}

// expired lists the tags that no rule about them keeps. Of several rules about a tag
// the first counts.
func (c *Config) expired(repo string, tags []storage.Tag, now time.Time) []storage.Tag {
	var out []storage.Tag
	decided := map[string]bool{}
	for _, r := range c.Retention {
		if !matchesAny(r.Repositories, repo) {
			continue
		}
		var about []storage.Tag
		for _, t := range tags {
			if !decided[t.Name] && (len(r.Tags) == 0 || matchesAny(r.Tags, t.Name)) {
				about = append(about, t)
				decided[t.Name] = true
			}
		}
		slices.SortStableFunc(about, func(a, b storage.Tag) int {
			return cmp.Or(b.Pushed.Compare(a.Pushed), cmp.Compare(b.Name, a.Name))
		})
		counts := make([]int, len(r.Keep))
		for _, t := range about {
			kept := c.IsImmutable(repo, t.Name)
			for i, k := range r.Keep {
				kept = k.holds(t, now, &counts[i]) || kept
			}
			if !kept {
				out = append(out, t)
			}
		}
	}
	return out
}

// holds says whether k keeps t, the next older of the tags it is about; n counts what
// it has kept of Last.
func (k Keep) holds(t storage.Tag, now time.Time, n *int) bool {
	if len(k.Tags) > 0 && !matchesAny(k.Tags, t.Name) {
		return false
	}
	used := t.Pulled
	if t.Pushed.After(used) {
		used = t.Pushed
	}
	if k.PushedWithin > 0 && now.Sub(t.Pushed) > time.Duration(k.PushedWithin) ||
		k.PulledWithin > 0 && now.Sub(used) > time.Duration(k.PulledWithin) {
		return false
	}
	*n++
	return k.Last <= 0 || *n <= k.Last
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return Match(p, name) })
}

// RetainEvery applies the retention rules now and then until ctx ends.
func (g *Guard) RetainEvery(ctx context.Context, s *storage.Storage, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		gone, err := g.Config().Retain(ctx, s, time.Now(), g.Config().ReadOnly)
		if err != nil && ctx.Err() == nil {
			g.log.Error("retention", "err", err)
		}
		if len(gone) > 0 && !g.Config().ReadOnly {
			g.log.Info("retention", slog.Int("deleted", len(gone)))
		}
	}
}
