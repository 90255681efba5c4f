package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
)

// GCOptions say what is garbage.
type GCOptions struct {
	// Grace is how long what nothing needs stays: whoever pushed it, or asked for
	// it, may be about to push what needs it. It has to be longer than a push
	// takes. 0 is a day; less than 0 none, for a registry that nobody pushes to.
	// Uploads that nobody writes to stay a minute at least.
	Grace time.Duration
	// Untagged removes manifests, too, that no tag leads to: neither a tag of their
	// own, nor an index that stays, nor a subject that stays.
	Untagged bool
	// Dry only reports.
	Dry bool
}

// graceIfZero is GCOptions.Grace where it is 0.
const graceIfZero = 24 * time.Hour

// Garbage is what was, or would be, removed.
type Garbage struct {
	Manifests []Removed // by Untagged
	Links     []Removed // blobs that repositories lose
	Blobs     []Removed // blobs, manifests among them, whose bytes go
	Uploads   Expired   // given up by who began them
	Bytes     int64     // what comes back
}

// Removed is one thing that goes.
type Removed struct {
	Repository string `json:",omitempty"`
	Digest     digest.Digest
	Size       int64
}

// CollectGarbage removes what nothing needs, while pushes and pulls go on: links of
// blobs that no manifest of their repository needs, manifests if o says so, bytes
// that no repository has, and uploads that were given up. Several may run at once.
// It stops at the first error; what it removed until then is in the report.
func CollectGarbage(ctx context.Context, s *Storage, o GCOptions) (Garbage, error) {
	grace := o.Grace
	switch {
	case grace == 0:
		grace = graceIfZero
	case grace < 0:
		grace = 0
	}
	c := &gc{s: s, o: o, before: time.Now().Add(-grace), gone: map[Use]bool{}}
	steps := []func(context.Context) error{c.repositories, c.bytes, c.uploads}
	err := run(ctx, steps)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		// To take a link away takes room; what nobody has any more, and uploads, do not.
		if err = run(ctx, []func(context.Context) error{c.uploads, c.bytes}); err == nil {
			err = run(ctx, steps)
		}
	}
	if err != nil {
		return c.report, fmt.Errorf("collect garbage: %w", err)
	}
	return c.report, nil
}

func run(ctx context.Context, steps []func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// CollectEvery collects garbage again and again until ctx ends.
func CollectEvery(ctx context.Context, s *Storage, every time.Duration, o GCOptions, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		g, err := CollectGarbage(ctx, s, o)
		log.InfoContext(ctx, "garbage collected", "manifests", len(g.Manifests), "links", len(g.Links),
			"blobs", len(g.Blobs), "uploads", g.Uploads.Uploads, "bytes", g.Bytes)
		if err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "garbage collection failed", "error", err)
		}
	}
}

type gc struct {
	s      *Storage
	o      GCOptions
	before time.Time
	report Garbage
	gone   map[Use]bool // what a dry run would have removed from repositories
}

// repositories takes from each repository what it does not need.
func (c *gc) repositories(ctx context.Context) error {
	return EachRepository(ctx, c.s.Index, func(r Repository) error {
		for range 3 {
			err := c.repository(ctx, r.Name)
			if !errors.Is(err, errChanged) {
				return err
			}
		}
		return nil // it is busy; the next collection will see
	})
}

// EachRepository calls f for all repositories.
func EachRepository(ctx context.Context, x Lister, f func(Repository) error) error {
	const step = 1000
	for p := (Page{N: step}); ; {
		part, err := x.Repositories(ctx, p)
		if err != nil {
			return err
		}
		for _, r := range part {
			if err := f(r); err != nil {
				return err
			}
		}
		if len(part) < step {
			return nil
		}
		p.Last = part[len(part)-1].Name
	}
}

// errChanged says that a repository is not any more what it was.
var errChanged = errors.New("repository changed meanwhile")

// A cleaning is what one repository is to lose.
type cleaning struct {
	dead  map[digest.Digest]Manifest
	loses map[digest.Digest]int // how many dead manifests need it
	links []Link
}

func (c *gc) repository(ctx context.Context, repo string) error {
	p := cleaning{loses: map[digest.Digest]int{}}
	if c.o.Untagged {
		var err error
		if p.dead, err = c.dead(ctx, repo); err != nil {
			return err
		}
	}
	for _, m := range p.dead {
		for _, d := range m.Blobs {
			p.loses[d]++
		}
	}
	links, err := c.s.Index.Links(ctx, repo, Page{})
	if err != nil {
		return err
	}
	for _, l := range links {
		if c.idle(l, p.loses) {
			p.links = append(p.links, l)
		}
	}
	if len(p.dead)+len(p.links) == 0 {
		return nil
	}
	if !c.o.Dry {
		if err := c.clean(ctx, repo, p); err != nil {
			return err
		}
	}
	c.note(repo, p)
	return nil
}

// idle says whether nothing needs a link, and nobody is about to.
func (c *gc) idle(l Link, loses map[digest.Digest]int) bool {
	return l.Users == loses[l.Digest] && l.Linked.Before(c.before)
}

func (c *gc) note(repo string, p cleaning) {
	for d, m := range p.dead {
		c.report.Manifests = append(c.report.Manifests, Removed{repo, d, m.Size})
		c.gone[Use{Repository: repo, Digest: d}] = true
	}
	for _, l := range p.links {
		c.report.Links = append(c.report.Links, Removed{repo, l.Digest, l.Size})
		c.gone[Use{Repository: repo, Digest: l.Digest, Blob: true}] = true
	}
}

// clean makes the change, if all is still as it was.
func (c *gc) clean(ctx context.Context, repo string, p cleaning) error {
	return c.s.Index.Update(ctx, repo, func(tx Tx) error {
		for d := range p.dead {
			m, err := tx.Manifest(d)
			if err != nil || m.Tags > 0 || !m.Pushed.Before(c.before) {
				return errChanged
			}
			if m.Users == 0 {
				continue
			}
			for _, user := range tx.Users(d) {
				if _, ok := p.dead[user]; !ok {
					return errChanged
				}
			}
		}
		for _, l := range p.links {
			now, err := tx.Blob(l.Digest)
			if err != nil || !c.idle(now, p.loses) {
				return errChanged
			}
		}
		for d := range p.dead {
			tx.DeleteManifest(d)
		}
		for _, l := range p.links {
			tx.Unlink(l.Digest)
		}
		return nil
	})
}

// dead finds the manifests that no tag leads to.
func (c *gc) dead(ctx context.Context, repo string) (map[digest.Digest]Manifest, error) {
	list, err := c.s.Index.Manifests(ctx, repo, Page{})
	if err != nil {
		return nil, err
	}
	all := map[digest.Digest]Manifest{}
	refer := map[digest.Digest][]digest.Digest{} // to what refers to it
	var alive []digest.Digest
	for _, m := range list {
		all[m.Digest] = m
		if m.Subject != "" {
			refer[m.Subject] = append(refer[m.Subject], m.Digest)
		}
		if m.Tags > 0 || !m.Pushed.Before(c.before) {
			alive = append(alive, m.Digest)
		}
	}
	for len(alive) > 0 {
		d := alive[len(alive)-1]
		alive = alive[:len(alive)-1]
		if _, ok := all[d]; !ok {
			continue // seen, or never there
		}
		delete(all, d)
		m, err := c.s.Index.Manifest(ctx, repo, d)
		if err != nil && !errors.Is(err, errs.ErrNotFound) {
			return nil, err
		}
		alive = append(append(alive, m.Manifests...), refer[d]...)
	}
	for d := range all {
		m, err := c.s.Index.Manifest(ctx, repo, d)
		if errors.Is(err, errs.ErrNotFound) {
			delete(all, d)
		} else if err != nil {
			return nil, err
		}
		all[d] = m
	}
	return all, nil
}

// bytes removes what no repository has.
func (c *gc) bytes(ctx context.Context) error {
	sizes := map[digest.Digest]int64{}
	var candidates []digest.Digest
	err := c.s.Blobs.Each(ctx, func(b Stored) error {
		if b.Modified.Before(c.before) {
			sizes[b.Digest] = b.Size
			candidates = append(candidates, b.Digest)
		}
		return nil
	})
	if err != nil {
		return err
	}
	how := Collection{Candidates: candidates, Dry: c.o.Dry, Remove: func(d digest.Digest) error {
		if !c.o.Dry {
			if err := c.s.Blobs.Remove(ctx, d); err != nil {
				return err
			}
		}
		c.report.Blobs = append(c.report.Blobs, Removed{Digest: d, Size: sizes[d]})
		c.report.Bytes += sizes[d]
		return nil
	}}
	if c.o.Dry {
		how.Gone = func(u Use) bool { return c.gone[u] }
	}
	return c.s.Index.Collect(ctx, how)
}

// uploadGrace is how long uploads stay at least.
const uploadGrace = time.Minute

func (c *gc) uploads(ctx context.Context) error {
	before := c.before
	if latest := time.Now().Add(-uploadGrace); before.After(latest) {
		before = latest
	}
	e, err := c.s.Blobs.Expire(ctx, before, c.o.Dry)
	c.report.Uploads.Uploads += e.Uploads
	c.report.Uploads.Bytes += e.Bytes
	c.report.Bytes += e.Bytes
	return err
}
