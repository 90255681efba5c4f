package mirror

import (
	"context"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/image"
)

// A Source is an open place to copy from.
type Source interface {
	content.ReadOnly
	content.Referrer
	// Tags lists the names that Resolve knows, tags where there are such.
	Tags(ctx context.Context) ([]string, error)
	// Close gives back what the place holds.
	Close() error
}

// A Target is an open place to copy to.
type Target interface {
	content.Pusher
	content.Tagger
	// Refer makes the target list d, which was pushed, as a referrer of subject,
	// which is what name stands for, or part of it.
	Refer(ctx context.Context, name string, subject, d image.Descriptor) error
	// Sibling is the full name of another tag beside name.
	Sibling(name, tag string) string
	// Commit makes final what was copied.
	Commit() error
	// Close gives back what the place holds, and gives up an archive that was not
	// committed.
	Close() error
}

// within says that a blob may be had from another repository of the same registry.
type within interface{ mountFrom(Source) string }
