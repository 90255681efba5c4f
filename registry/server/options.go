package server

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server/storage"
)

// An Action is what somebody wants to do.
type Action string

// The actions that Options.Authorize is asked about.
const (
	Pull    Action = "pull"
	Push    Action = "push"
	Delete  Action = "delete"
	Catalog Action = "catalog" // of the whole registry, and search: Access.Repository is ""
)

// Access is one right that a request needs.
type Access struct {
	Repository string
	Action     Action
}

// Options configure New. The zero value lets everybody do everything.
type Options struct {
	// Authorize, when not nil, is asked before anything is looked up, with all the
	// rights that a request needs (none for the base /v2/). If it says false it
	// has answered. Whoever may not even know of a repository is to get what
	// NameUnknown answers.
	Authorize func(w http.ResponseWriter, r *http.Request, need []Access) bool
	// Allowed says whether the caller has a right, without answering. Lists leave
	// out repositories that the caller may not pull from, and a mount from one of
	// those begins an upload as if nothing were there. Where it is nil and
	// Authorize is not, lists are whole and Authorize is asked about the source
	// of a mount together with its target.
	Allowed func(r *http.Request, a Access) bool

	// ReadOnly, when it says true, refuses what writes with 405.
	ReadOnly func() bool
	// Immutable says whether a tag, once it is there, can be moved or deleted no
	// more; nor can its manifest be deleted.
	Immutable func(repo, tag string) bool
	// Limits gives the quotas that count for a repository.
	Limits func(repo string) []storage.Limit
	// Sparse accepts image manifests although the repository does not have all of
	// their blobs; those of an index may be missing in any case.
	Sparse bool
	// MaxBlob bounds a blob's size in bytes; 0 is no bound.
	MaxBlob int64
	// MaxManifest bounds a manifest's size; 0 is 4 MiB, which the specification
	// wants at least.
	MaxManifest int64
	// Idle is how long a client may take to send or take the next piece of a
	// blob, 1 MiB at most; 0 is a minute.
	Idle time.Duration

	// Events, when not nil, hears what was done, before the answer is finished:
	// it must not take long.
	Events func(Event)
	// Actor names who sends a request, for events.
	Actor func(r *http.Request) string
	// Logger hears of failures that are ours; nil discards.
	Logger *slog.Logger
}

// An Event is something that was done.
type Event struct {
	Time       time.Time
	Action     Action // Pull, Push, Delete
	Kind       Kind   // KindManifest, KindBlob or, of a tag that was deleted, KindTag
	Repository string
	Digest     digest.Digest
	Tag        string // the one that was named, if one was
	MediaType  string // of a manifest
	Size       int64  // in bytes
	Mounted    string // the repository that a blob was mounted from
	Actor      string
	Request    *http.Request // not to be kept
}

// A Kind is a kind of thing in a registry.
type Kind string

// The kinds that events tell apart.
const (
	KindManifest Kind = "manifest"
	KindBlob     Kind = "blob"
	KindTag      Kind = "tag"
)

// withDefaults fills in what is not said.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.MaxManifest == 0 {
		o.MaxManifest = image.MaxMetadata
	}
	if o.Idle == 0 {
		o.Idle = time.Minute
	}
	if o.ReadOnly == nil {
		o.ReadOnly = func() bool { return false }
	}
	if o.Immutable == nil {
		o.Immutable = func(string, string) bool { return false }
	}
	if o.Limits == nil {
		o.Limits = func(string) []storage.Limit { return nil }
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	if o.Actor == nil {
		o.Actor = func(*http.Request) string { return "" }
	}
	return o
}
