package storage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
)

// ScrubOptions say what Scrub does.
type ScrubOptions struct {
	// Quick does not read the bytes of blobs, it only looks for them.
	Quick bool
	// Sparse is for a registry that accepts manifests without their blobs: that
	// they are missing is no problem then.
	Sparse bool
	// Repair takes blobs away that are damaged, so that they can be pushed again,
	// and loses nothing else.
	Repair bool
	// Progress, when not nil, hears of each object before it is looked at.
	Progress func(object string)
}

// A Problem is something that is not as it should be.
type Problem struct {
	Repository string `json:",omitempty"` // "" for bytes
	Digest     digest.Digest
	What       string
	Repaired   bool
}

// A Checker is an Index that can look at itself.
type Checker interface {
	// Check calls f for each repository whose record is damaged.
	Check(ctx context.Context, f func(repo, what string) error) error
}

// Scrub verifies every blob's bytes, and that everything that repositories have and
// need is there. Pushes and pulls go on.
func Scrub(ctx context.Context, s *Storage, o ScrubOptions) ([]Problem, error) {
	c := &scrub{s: s, o: o}
	for _, step := range []func(context.Context) error{c.bytes, c.index, c.repositories} {
		if err := step(ctx); err != nil {
			return c.found, fmt.Errorf("scrub: %w", err)
		}
	}
	return c.found, nil
}

type scrub struct {
	s     *Storage
	o     ScrubOptions
	found []Problem
}

func (c *scrub) progress(object string) {
	if c.o.Progress != nil {
		c.o.Progress(object)
	}
}

// bytes reads all blobs.
func (c *scrub) bytes(ctx context.Context) error {
	if c.o.Quick {
		return nil
	}
	return c.s.Blobs.Each(ctx, func(b Stored) error {
		c.progress("blob " + b.Digest.String())
		err := verify(ctx, c.s.Blobs, b.Digest)
		if errors.Is(err, errs.ErrNotFound) {
			return nil // collected meanwhile
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		p := Problem{Digest: b.Digest, What: err.Error()}
		if c.o.Repair {
			if err := c.s.Blobs.Quarantine(ctx, b.Digest); err != nil && !errors.Is(err, errs.ErrNotFound) {
				return err
			}
			p.Repaired = true
		}
		c.found = append(c.found, p)
		return nil
	})
}

func verify(ctx context.Context, r Reader, d digest.Digest) error {
	f, err := r.Open(ctx, d)
	if err != nil {
		return err
	}
	defer f.Close()
	v := d.Verifier()
	if _, err := io.Copy(v, &interruptible{ctx, f}); err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if !v.Verified() {
		return fmt.Errorf("the bytes are others: %w", errs.ErrDigest)
	}
	return nil
}

// interruptible reads until ctx ends.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

// Read reads on.
func (r *interruptible) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

func (c *scrub) index(ctx context.Context) error {
	x, ok := c.s.Index.(Checker)
	if !ok {
		return nil
	}
	return x.Check(ctx, func(repo, what string) error {
		c.found = append(c.found, Problem{Repository: repo, What: what})
		return nil
	})
}

func (c *scrub) repositories(ctx context.Context) error {
	return EachRepository(ctx, c.s.Index, func(r Repository) error {
		c.progress("repository " + r.Name)
		if err := c.links(ctx, r.Name); err != nil {
			return err
		}
		return c.manifests(ctx, r.Name)
	})
}

// links looks for the bytes of a repository's blobs.
func (c *scrub) links(ctx context.Context, repo string) error {
	links, err := c.s.Index.Links(ctx, repo, Page{})
	if err != nil {
		return err
	}
	for _, l := range links {
		what, err := c.missing(ctx, l.Digest, l.Size)
		if err != nil {
			return err
		}
		if what == "" {
			continue
		}
		if _, err := c.s.Index.Blob(ctx, repo, l.Digest); errors.Is(err, errs.ErrNotFound) {
			continue // it is gone now
		}
		c.found = append(c.found, Problem{Repository: repo, Digest: l.Digest, What: "blob: " + what})
	}
	return nil
}

// missing says what is wrong with a blob that should be there, "" if nothing.
func (c *scrub) missing(ctx context.Context, d digest.Digest, size int64) (string, error) {
	have, err := c.s.Blobs.Stat(ctx, d)
	switch {
	case errors.Is(err, errs.ErrNotFound):
		return "the bytes are gone; push it again", nil
	case err != nil:
		return "", err
	case have != size:
		return fmt.Sprintf("%d bytes of %d; push it again", have, size), nil
	}
	return "", nil
}

func (c *scrub) manifests(ctx context.Context, repo string) error {
	list, err := c.s.Index.Manifests(ctx, repo, Page{})
	if err != nil {
		return err
	}
	for _, m := range list {
		what, err := c.missing(ctx, m.Digest, m.Size)
		if err != nil {
			return err
		}
		m, err := c.s.Index.Manifest(ctx, repo, m.Digest)
		if errors.Is(err, errs.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if what != "" {
			c.found = append(c.found, Problem{Repository: repo, Digest: m.Digest, What: "manifest: " + what})
		}
		if err := c.needs(ctx, repo, m); err != nil {
			return err
		}
	}
	return nil
}

// needs looks for the links to what a manifest needs.
func (c *scrub) needs(ctx context.Context, repo string, m Manifest) error {
	if c.o.Sparse {
		return nil
	}
	for _, d := range m.Blobs {
		_, err := c.s.Index.Blob(ctx, repo, d)
		if err == nil {
			continue
		}
		if !errors.Is(err, errs.ErrNotFound) {
			return err
		}
		if _, err := c.s.Index.Manifest(ctx, repo, m.Digest); errors.Is(err, errs.ErrNotFound) {
			return nil // deleted meanwhile
		}
		c.found = append(c.found, Problem{Repository: repo, Digest: m.Digest, What: "manifest: needs blob " + d.String() + ", which the repository does not have"})
	}
	return nil
}
