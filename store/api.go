package store

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
)

// A Store is the local store in one directory. Any number of processes may
// have it open at once; a Store is safe for concurrent use.
type Store struct {
	root string
}

// Options configure Open. The zero value works.
type Options struct {
	// Durable makes published objects survive power loss (syncfs before publishing).
	Durable bool
}

// Open opens the store at root and makes it when it is not there.
func Open(root string, o Options) (*Store, error) { panic("stub") }

// Close releases this process's lease. Objects that only the lease kept may
// then be collected by anyone.
func (s *Store) Close() error { panic("stub") }

// Root is the store's directory.
func (s *Store) Root() string { return s.root }

// ---- blobs: Store implements content.Store ----

// Fetch opens a blob. A layer that is kept only as a tree is written out as
// its uncompressed tar on the fly (the descriptor's digest is then a diffID).
func (s *Store) Fetch(ctx context.Context, d image.Descriptor) (io.ReadCloser, error) {
	panic("stub")
}
func (s *Store) Exists(ctx context.Context, d image.Descriptor) (bool, error)       { panic("stub") }
func (s *Store) Push(ctx context.Context, d image.Descriptor, r io.Reader) error    { panic("stub") }
func (s *Store) Resolve(ctx context.Context, name string) (image.Descriptor, error) { panic("stub") }

// ReadBlob reads a manifest, index or config whole (at most image.MaxMetadata bytes).
func (s *Store) ReadBlob(ctx context.Context, d digest.Digest) ([]byte, error) { panic("stub") }

// WriteBlob stores data and describes it.
func (s *Store) WriteBlob(ctx context.Context, mediaType string, data []byte) (image.Descriptor, error) {
	panic("stub")
}

// ---- names ----

// A Name is one entry of the names log. Ref is a full canonical reference with
// tag ("docker.io/library/app:latest") or digest ("host/app@sha256:..."), or ""
// for a target that is kept although it has no name (a dangling image).
type Name struct {
	Ref     string
	Target  image.Descriptor
	Updated time.Time
}

// Names lists all names, dangling targets included, ordered by Ref then digest.
func (s *Store) Names(ctx context.Context) ([]Name, error) { panic("stub") }

// Tag points ref at d (ref "" keeps d as a dangling image). A target that loses
// its last name by this becomes dangling; it is not lost.
func (s *Store) Tag(ctx context.Context, ref string, d image.Descriptor) error { panic("stub") }

// Untag removes a name; keep says whether a target that loses its last name
// stays as a dangling image. errs.ErrNotFound if there is no such name.
func (s *Store) Untag(ctx context.Context, ref string, keep bool) error { panic("stub") }

// Forget removes every name of target and its dangling entry.
func (s *Store) Forget(ctx context.Context, target digest.Digest) error { panic("stub") }

// ---- layers ----

// A LayerID names a layer tree in this store. It says nothing about content.
type LayerID string

// A Layer is one published, immutable layer tree in overlay form.
type Layer struct {
	ID     LayerID
	Dir    string        // the tree
	DiffID digest.Digest // "" until somebody asked for it
	Size   int64         // bytes of the uncompressed tar; 0 while DiffID is ""
	Usage  int64         // bytes on disk, as du counts; -1 unknown
}

// A Draft is a layer being made. Dir is an empty directory (0755, root) to
// fill; Work is for overlayfs's workdir, on the same filesystem.
type Draft struct {
	Dir, Work string
}

// NewLayer starts a layer. The draft is gone when the process dies.
func (s *Store) NewLayer(ctx context.Context) (*Draft, error) { panic("stub") }

// Commit publishes the draft's tree atomically.
func (d *Draft) Commit(ctx context.Context) (Layer, error) { panic("stub") }

// Discard removes the draft. After Commit it does nothing.
func (d *Draft) Discard() error { panic("stub") }

// Layer finds a layer by its id and pins it with this process's lease.
func (s *Store) Layer(ctx context.Context, id LayerID) (Layer, error) { panic("stub") }

// LayerByDiffID finds a layer tree by diffID and pins it.
func (s *Store) LayerByDiffID(ctx context.Context, diffID digest.Digest) (Layer, error) {
	panic("stub")
}

// Identify gives the layer with its DiffID and Size, computing and remembering them if need be.
func (s *Store) Identify(ctx context.Context, id LayerID) (Layer, error) { panic("stub") }

// SetDiffID remembers what a caller computed while it wrote the layer.
func (s *Store) SetDiffID(ctx context.Context, id LayerID, diffID digest.Digest, size int64) error {
	panic("stub")
}

// Unpack makes the layer tree of blob d (any compression), whose uncompressed
// tar must have diffID; a tree that is already there is returned as it is. One
// process does the work, others wait for it.
func (s *Store) Unpack(ctx context.Context, d image.Descriptor, diffID digest.Digest) (Layer, error) {
	panic("stub")
}

// ---- cache records ----

// A Key is the hash of everything a step's result depends on (hex).
type Key string

// A Record is the remembered result of one build step.
type Record struct {
	Key         Key         `json:"key"`
	ResultKey   Key         `json:"resultKey"` // what steps on top of this one use as their input's key
	Outputs     [][]LayerID `json:"outputs"`   // per output, the stack of layers, bottom first
	Preimage    []byte      `json:"preimage"`  // canonical JSON that was hashed to Key
	Description string      `json:"description"`
	Type        string      `json:"type"` // regular, source.local, exec.cachemount, ...
	Created     time.Time   `json:"created"`
	LastUsed    time.Time   `json:"-"` // the record file's mtime
	UsageCount  int         `json:"usageCount"`
	Parents     []Key       `json:"parents"`
}

// Record finds a record whose layers are all still there, pins them, and marks it used.
// errs.ErrNotFound otherwise.
func (s *Store) Record(ctx context.Context, k Key) (*Record, error) { panic("stub") }

// PutRecord publishes r, replacing an older record of the same key.
func (s *Store) PutRecord(ctx context.Context, r *Record) error { panic("stub") }

// Records lists all records.
func (s *Store) Records(ctx context.Context) ([]*Record, error) { panic("stub") }

// ---- locks, scratch, cache mounts ----

// Lock takes the lock called name among all processes (and goroutines) of this
// store and waits for it until ctx ends.
func (s *Store) Lock(ctx context.Context, name string) (unlock func(), err error) { panic("stub") }

// TempDir makes a directory that is removed when this process is gone.
func (s *Store) TempDir(ctx context.Context, pattern string) (string, error) { panic("stub") }

// Sharing is how concurrent users of a cache mount get along.
type Sharing int

// The sharing modes of RUN --mount=type=cache.
const (
	Shared  Sharing = iota // all use one directory at once
	Private                // a busy directory is not waited for: another one is used
	Locked                 // wait until the other user is done
)

// CacheMount gives the directory of the cache mount id. fill is called on a new,
// empty directory before anyone sees it; it may be nil. release lets others in.
func (s *Store) CacheMount(ctx context.Context, id string, sharing Sharing, fill func(dir string) error) (dir string, release func(), err error) {
	panic("stub")
}

// State is a small file of this store for a caller's own use (stat indexes,
// memos): what can be lost at any time. Name is a relative path; Put is atomic.
func (s *Store) State(name string) ([]byte, error)       { panic("stub") }
func (s *Store) PutState(name string, data []byte) error { panic("stub") }

// ---- garbage ----

// PruneOptions say what may go.
type PruneOptions struct {
	// Records says which cache records go; nil keeps all.
	Records func(*Record) bool
	// CacheMounts says which cache mounts go; nil keeps all.
	CacheMounts func(CacheMountInfo) bool
	// DryRun only reports.
	DryRun bool
}

// CacheMountInfo describes one cache mount directory.
type CacheMountInfo struct {
	ID       string
	Usage    int64
	LastUsed time.Time
	InUse    bool
}

// Report says what was, or would be, removed.
type Report struct {
	Blobs, Layers, Records, CacheMounts int
	RemovedRecords                      []Key
	Reclaimed                           int64 // bytes on disk
}

// Prune removes the records and cache mounts that o names and then everything
// that no name, record or live lease reaches.
func (s *Store) Prune(ctx context.Context, o PruneOptions) (Report, error) { panic("stub") }

// Usage sums what the store holds, in bytes on disk.
type Usage struct {
	Blobs, Layers, CacheMounts, Other int64
}

// Usage measures the store.
func (s *Store) Usage(ctx context.Context) (Usage, error) { panic("stub") }

// CacheMounts lists the cache mounts.
func (s *Store) CacheMounts(ctx context.Context) ([]CacheMountInfo, error) { panic("stub") }
