package storage

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"
)

// Index knows repositories, and what each has: links to blobs, manifests, tags.
type Index interface {
	Finder
	Lister
	Updater
	Collector
}

// A Finder answers about one thing in one repository.
type Finder interface {
	Blob(ctx context.Context, repo string, d digest.Digest) (Link, error)
	Manifest(ctx context.Context, repo string, d digest.Digest) (Manifest, error)
	Tag(ctx context.Context, repo, tag string) (Tag, error)
}

// A Lister lists, in ASCII order of digest or name. Of a repository that is not
// there it lists nothing, except TagNames, which is errs.ErrNotFound then.
type Lister interface {
	// TagNames is the quick way to what clients ask for most. The list is not to
	// be changed.
	TagNames(ctx context.Context, repo string, p Page) ([]string, error)
	Tags(ctx context.Context, repo string, p Page) ([]Tag, error)
	Manifests(ctx context.Context, repo string, p Page) ([]Manifest, error)
	Links(ctx context.Context, repo string, p Page) ([]Link, error)
	// Referrers lists the manifests whose subject is d.
	Referrers(ctx context.Context, repo string, d digest.Digest) ([]Manifest, error)
	// Repositories lists the repositories that have anything.
	Repositories(ctx context.Context, p Page) ([]Repository, error)
	// Holders gives repositories that have a link to d, perhaps not all: those it
	// finds without looking at everything.
	Holders(ctx context.Context, d digest.Digest) ([]string, error)
}

// An Updater changes one repository at a time.
type Updater interface {
	// Update calls f, which reads the repository as it is and says what is to
	// change. If f gives nil all of it happens, durably and at once; otherwise,
	// or if it would go beyond a Limit, nothing. No other Update of the
	// repository runs beside it, in whatever process. f is called once.
	Update(ctx context.Context, repo string, f func(Tx) error) error
	// Pulled notes that a manifest was pulled, by tag or ("") by digest. The
	// notes are kept for a while and then written together: a crash may lose some.
	Pulled(repo, tag string, d digest.Digest, at time.Time)
	// Flush writes the notes of Pulled now.
	Flush(ctx context.Context) error
}

// A Tx is a repository within an Update. What is read is as it was before.
type Tx interface {
	TxReader
	TxWriter
}

// A TxReader reads within an Update.
type TxReader interface {
	Blob(d digest.Digest) (Link, error)
	Manifest(d digest.Digest) (Manifest, error)
	Tag(name string) (Tag, error)
	// TagsOf lists the tags on a manifest.
	TagsOf(d digest.Digest) []Tag
	// Users lists manifests that need d: those which have it as config, layer or
	// entry of an index. A subject is not needed.
	Users(d digest.Digest) []digest.Digest
}

// A TxWriter writes within an Update.
type TxWriter interface {
	// Link gives the repository a blob, or renews the link's time.
	Link(Link)
	Unlink(digest.Digest)
	PutManifest(Manifest)
	// DeleteManifest removes a manifest and the tags on it.
	DeleteManifest(digest.Digest)
	PutTag(Tag)
	DeleteTag(name string)
	// Limit refuses the update with a *QuotaError if it adds bytes and more than
	// the limit would be used.
	Limit(Limit)
	// Publish has f called when it is known that the update may be made, right
	// before it is. If f fails there is no update.
	Publish(f func() error)
}

// A Collector removes blobs that nobody has.
type Collector interface {
	// Collect calls c.Remove for those of the candidates that no repository has as
	// blob or manifest. While it does, nobody can link to them; it is quick then.
	Collect(ctx context.Context, c Collection) error
}

// A Collection is what Collect is to do.
type Collection struct {
	Candidates []digest.Digest
	// Gone, where it is not nil, says which uses not to count.
	Gone func(Use) bool
	// Remove is called for each blob that nobody has.
	Remove func(digest.Digest) error
	// Dry says that Remove removes nothing, so that nobody needs to wait.
	Dry bool
}

// A Use is something that a repository has.
type Use struct {
	Repository string
	Digest     digest.Digest
	Blob       bool // a link; a manifest otherwise
}

// A Page is a part of a list: at most N entries after Last. The zero value is all.
type Page struct {
	Last string
	N    int // 0 is all
}

// A Link is a blob that a repository has.
type Link struct {
	Digest digest.Digest
	Size   int64
	// Linked is when it was pushed, mounted or last asked for by somebody who
	// may be about to push what needs it.
	Linked time.Time
	// Users is how many manifests of the repository need it.
	Users int
}

// A Manifest is what is known of an image's or index's manifest. Its bytes are a blob.
type Manifest struct {
	Digest    digest.Digest
	MediaType string
	Size      int64
	// ArtifactType is that of the manifest, or its config's media type.
	ArtifactType string
	// Subject is what it refers to, "" for most.
	Subject digest.Digest
	// Blobs and Manifests are what it needs; of foreign layers nothing. It may be
	// that not all Manifests are there. Lists leave both out.
	Blobs, Manifests []digest.Digest
	// Pushed is when it was pushed last, Pulled when it was pulled last.
	Pushed, Pulled time.Time
	// Tags and Users say how many tags and indexes of the repository have it.
	Tags, Users int
}

// A Tag is a name for a manifest.
type Tag struct {
	Name           string
	Digest         digest.Digest
	Pushed, Pulled time.Time
}

// A Repository is a repository as a whole.
type Repository struct {
	Name string
	Usage
}

// Usage says how much there is. A blob counts once for each repository that has it.
type Usage struct {
	Bytes                  int64 // of blobs and manifests
	Blobs, Manifests, Tags int
}

// A Limit bounds the bytes of one repository, or of all whose name begins with Prefix.
type Limit struct {
	// Prefix ends with "/" (those below it), is "" (all), or is the name of a repository.
	Prefix string
	Bytes  int64
}

// Covers says whether the limit counts repo.
func (l Limit) Covers(repo string) bool {
	return l.Prefix == "" || l.Prefix == repo || len(repo) > len(l.Prefix) &&
		l.Prefix[len(l.Prefix)-1] == '/' && repo[:len(l.Prefix)] == l.Prefix
}
