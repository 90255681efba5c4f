package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/build/history"
	"github.com/mica-build/mica/build/op"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/store"
)

// memoVersion changes with the meaning of a memo.
const memoVersion = 2

// A memo is what a whole build was made of, and its result. A build whose
// Dockerfile, settings, base images and files read are the same has the same
// result; to know that costs a look at the files.
type memo struct {
	Bases    map[string]digest.Digest // images found in the store, by name
	Reads    []read
	Records  map[store.Key]store.Key // of the steps, with what they came to
	Vertexes []*client.Vertex        // to show as cached
	Warnings []client.VertexWarning
	Build    history.ID // that was it
	Root     image.Descriptor
	ImageID  digest.Digest
	Names    []string
	Metadata map[string]any
}

// A read is something that a step read from a live directory.
type read struct {
	Dir     string
	Exclude []string
	Owned   bool               `json:",omitempty"`
	Copy    *pb.FileActionCopy `json:",omitempty"`
	Path    string             `json:",omitempty"`
	Digest  digest.Digest
}

// recorder collects the reads of one build.
type recorder struct {
	mu    sync.Mutex
	reads []read
}

func (r *recorder) saw(x op.Read) {
	now := read{Dir: x.Local.Dir, Exclude: x.Local.Exclude, Owned: x.Local.Owned, Copy: x.Copy, Path: x.Path, Digest: x.Digest}
	r.mu.Lock()
	defer r.mu.Unlock()
	// A step is read for its key and again when it runs: the next build need not.
	if !slices.ContainsFunc(r.reads, now.same) {
		r.reads = append(r.reads, now)
	}
}

// same says whether two reads were of the same files and found the same.
func (r read) same(o read) bool {
	return r.Dir == o.Dir && r.Owned == o.Owned && r.Path == o.Path && r.Digest == o.Digest &&
		slices.Equal(r.Exclude, o.Exclude) && r.Copy.EqualVT(o.Copy)
}

// memoName names the memo of this request; "" when the build cannot have one:
// it looks at the network, must not use the cache, or writes more than an image
// in the store.
func (s *session) memoName() string {
	if s.memo != nil {
		return *s.memo
	}
	name := s.computeMemoName()
	s.memo = &name
	return name
}

func (s *session) computeMemoName() string {
	r := s.r
	if r.NoCache || len(r.NoCacheFilter) > 0 || r.Pull || s.world.Locals[localContext] == nil {
		return ""
	}
	if len(s.outs) != 1 || s.outs[0].Type != "image" || s.outs[0].push || s.outs[0].Attrs["store"] == "false" {
		return ""
	}
	h := sha256.New()
	enc := json.NewEncoder(h)
	enc.Encode([]any{memoVersion, s.b.o.Version, s.opts, s.workers(), r.Outputs, r.Annotations, r.Tags, r.Reproducible, r.Allow})
	names := make([]string, 0, len(s.world.Locals))
	for n := range s.world.Locals {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		l := s.world.Locals[n]
		if n != localDockerfile {
			enc.Encode([]string{n, l.Dir})
			enc.Encode(fileBytes(filepath.Join(l.Dir, ".dockerignore")))
			continue
		}
		path := filepath.Join(l.Dir, s.opts["filename"])
		enc.Encode(fileBytes(path))
		enc.Encode(fileBytes(path + ".dockerignore"))
	}
	return "memo/" + hex.EncodeToString(h.Sum(nil)[:16])
}

// fileBytes is a file's content, nil when there is none. A file that cannot be
// read gives bytes that match nothing.
func fileBytes(path string) []byte {
	b, err := readLimited(path, maxDockerfile)
	if err == nil {
		return append([]byte{0}, b...)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return []byte(err.Error())
}

// recall answers the build from its memo, if everything is as it was.
func (s *session) recall(ctx context.Context) (*Result, bool, error) {
	name := s.memoName()
	if name == "" {
		return nil, false, nil
	}
	raw, err := s.store.State(name)
	if err != nil {
		return nil, false, nil
	}
	m, ok := decodeMemo(raw)
	if !ok || !s.holds(ctx, m) {
		return nil, false, nil
	}
	s.replay(m)
	if err := s.name(ctx, s.outs[0].names, m.Root); err != nil {
		return nil, false, err
	}
	s.journal.same(ctx, m)
	return &Result{
		ImageID: m.ImageID, Digest: m.Root.Digest, Descriptor: m.Root, Names: m.Names,
		Metadata: m.Metadata, Warnings: m.Warnings,
	}, true, nil
}

// decodeMemo reads a memo; one that is damaged is none.
func decodeMemo(raw []byte) (*memo, bool) {
	m := new(memo)
	err := json.Unmarshal(raw, m)
	return m, err == nil && !slices.Contains(m.Vertexes, nil)
}

// holds checks a memo against the store and the files of today. Files changed
// are the likeliest reason that it does not, so they come first.
func (s *session) holds(ctx context.Context, m *memo) bool {
	for _, r := range m.Reads {
		if d, err := s.reread(ctx, r); err != nil || d != r.Digest {
			return false
		}
	}
	for name, want := range m.Bases {
		if d, err := s.images.inStore(ctx, name); err != nil || d != want {
			return false
		}
	}
	return s.ledger.same(ctx, m.Records) && s.complete(ctx, m.Root)
}

func (s *session) reread(ctx context.Context, r read) (digest.Digest, error) {
	f, err := os.Open(r.Dir)
	if err != nil {
		return "", err
	}
	defer f.Close()
	src := &fileop.Source{Dir: f, Exclude: r.Exclude, Context: !r.Owned, Digests: s.indexes.of(r.Dir)}
	if r.Copy != nil {
		return fileop.Digest(ctx, src, r.Copy)
	}
	return fileop.DigestPath(ctx, src, r.Path)
}

// complete says whether the image is whole in the store.
func (s *session) complete(ctx context.Context, d image.Descriptor) bool {
	raw, err := s.store.ReadBlob(ctx, d.Digest)
	if err != nil {
		return false
	}
	if image.IsIndex(d.MediaType) {
		x, err := image.ParseIndex(raw)
		if err != nil {
			return false
		}
		for _, c := range x.Manifests {
			if !s.complete(ctx, c) {
				return false
			}
		}
		return true
	}
	m, err := image.ParseManifest(raw)
	if err != nil {
		return false
	}
	for _, l := range append(m.Layers, m.Config) {
		if ok, err := s.store.Exists(ctx, l); err != nil || !ok {
			return false
		}
	}
	return true
}

func (s *session) replay(m *memo) {
	for _, v := range m.Vertexes {
		s.progress.Start(v.Digest, v.Name, v.Inputs, v.ProgressGroup)
		if v.Name == exportingImage {
			s.announce(v.Digest, m.ImageID, m.Names)
		}
		s.progress.Done(v.Digest, v.Cached, nil)
	}
	for i := range m.Warnings {
		s.progress.Warn(&m.Warnings[i])
	}
}

// memorize keeps what this build was made of. It only saves time, so failing to
// is no failure of the build.
func (s *session) memorize(res *Result) {
	name := s.memoName()
	if name == "" || s.remote() {
		return
	}
	bases, ok := s.images.fromStoreOnly()
	if !ok || s.computeMemoName() != name { // the Dockerfile may have been edited meanwhile
		return
	}
	records, ok := s.ledger.all()
	if !ok {
		return
	}
	m := memo{
		Records: records, Bases: bases, Reads: s.reads.reads, Warnings: res.Warnings, Root: res.Descriptor,
		ImageID: res.ImageID, Names: res.Names, Metadata: res.Metadata, Build: s.journal.build.ID,
	}
	for _, v := range s.progress.Vertexes() {
		v.Started, v.Completed = nil, nil
		m.Vertexes = append(m.Vertexes, v)
	}
	if raw, err := json.Marshal(m); err == nil {
		_ = s.store.PutState(name, raw)
	}
}

// remote says whether some step's source has to be asked for anew each time.
func (s *session) remote() bool {
	return s.graph.Any(func(n *solve.Node) bool {
		src := n.Op.GetSource()
		return src != nil && op.IsRemote(src)
	})
}
