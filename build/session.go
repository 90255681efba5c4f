package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/build/frontend"
	"github.com/mica-build/mica/build/op"
	"github.com/mica-build/mica/build/platform"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/build/source"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/safepath"
	"github.com/mica-build/mica/store"
)

// session is one build in progress.
type session struct {
	b        *Builder
	r        *Request
	store    *store.Store
	opts     frontend.Options
	graph    *solve.Graph
	solver   *solve.Solver
	world    *op.World
	progress *solve.Progress
	images   *images
	indexes  *indexes
	outs     []output
	reads    *recorder
	ledger   *ledger
	memo     *string // the memo's name, once it is known
	journal  *journal
	done     []func()

	mu       sync.Mutex
	warnings []client.VertexWarning
	warned   bool // all there is to warn of was said
}

var _ frontend.Backend = (*session)(nil)

func (b *Builder) newSession(r *Request) (*session, error) {
	s := &session{
		b: b, r: r, store: b.store, opts: frontend.Options{},
		graph: solve.NewGraph(), reads: &recorder{},
	}
	s.journal = newJournal(s)
	s.progress = solve.NewProgress(s.status)
	s.ledger = newLedger(b.store)
	s.images = newImages(s)
	s.indexes = newIndexes(b.store)
	given, err := newSecrets(r.Secrets)
	if err != nil {
		return nil, err
	}
	secrets := heard{given, &s.journal.mask}
	agents, err := newAgents(r.SSH)
	if err != nil {
		return nil, err
	}
	s.done = append(s.done, agents.close)
	sources := &source.Client{CacheDir: filepath.Join(b.store.Root(), "sources"), Secrets: secrets, SSH: agents, Once: true, Log: b.o.Log, Offline: b.o.Offline}
	s.world = &op.World{
		Store: b.store, Mounter: b.o.Mounter, Runner: b.o.Runner, Images: s.images, Sources: sources,
		Locals:   map[string]*solve.Local{},
		Digester: func(l *solve.Local) fileop.Digester { return s.indexes.of(l.Dir) },
		Secrets:  secrets, SSH: agents, Progress: s.progress, Log: b.o.Log, Files: map[string]string{},
		AllowHost:     slices.Contains(r.Allow, "network.host") || r.Network == "host",
		AllowInsecure: slices.Contains(r.Allow, "security.insecure"),
		CheckPlatform: platform.Runnable,
		OnRead:        s.reads.saw,
		OnContent:     s.journal.content, OnCPU: s.journal.cpu, OnFailure: s.journal.failure,
	}
	s.solver = solve.New(s.ledger, s.world.Op, s.progress, b.o.Parallel)
	s.solver.OnOutcome = s.journal.outcome
	s.world.Steps = &s.solver.Steps
	return s, nil
}

// status passes on what the progress says.
func (s *session) status(st *client.SolveStatus) {
	s.journal.status(st)
	if s.r.Progress != nil {
		s.r.Progress(st)
	}
}

func (s *session) close() {
	s.world.Close()
	for i := len(s.done) - 1; i >= 0; i-- {
		s.done[i]()
	}
}

// host is the platform of this machine.
func (s *session) host() image.Platform {
	if s.b.o.Platform.OS != "" {
		return s.b.o.Platform
	}
	return platform.Default()
}

// workers lists what can run here, this machine's own platform first.
func (s *session) workers() []image.Platform {
	return append([]image.Platform{s.host()}, platform.Supported()...)
}

// ---- what the front end asks ----

func (s *session) Load(def *pb.Definition) (solve.Edge, error) { return s.graph.Load(def) }

// ReadFile reads from a live directory as from any other tree; only the
// Dockerfile itself may be a symlink that leaves its directory.
func (s *session) ReadFile(ctx context.Context, e solve.Edge, name string, limit int64) ([]byte, error) {
	var data []byte
	err := s.withTree(ctx, e, name, func(f *os.File) error {
		var err error
		data, err = readConfined(f, name, limit)
		return err
	}, func(path string) error {
		var err error
		data, err = readLimited(path, limit)
		return err
	})
	return data, err
}

func (s *session) Stat(ctx context.Context, e solve.Edge, name string) (frontend.FileInfo, error) {
	var fi frontend.FileInfo
	err := s.withTree(ctx, e, name, func(f *os.File) error {
		st, err := safepath.Stat(f, name)
		if err != nil {
			return err
		}
		fi = frontend.FileInfo{Size: st.Size, Mode: st.Mode & 0o7777}
		return nil
	}, func(path string) error {
		st, err := os.Stat(path)
		if err == nil {
			fi = frontend.FileInfo{Size: st.Size(), Mode: uint32(st.Mode())}
		}
		return err
	})
	return fi, err
}

// withTree opens e's tree for confined, or gives open the path of a file that
// the user named directly.
func (s *session) withTree(ctx context.Context, e solve.Edge, name string, confined func(*os.File) error, open func(path string) error) error {
	v, err := s.solver.Solve(ctx, e)
	if err != nil {
		return err
	}
	if v.Local != nil && v.Local.Name == localDockerfile {
		return open(filepath.Join(v.Local.Dir, filepath.Clean("/"+name)))
	}
	f, done, err := s.world.Open(ctx, v)
	if err != nil {
		return err
	}
	defer done()
	return confined(f)
}

func (s *session) ResolveImage(ctx context.Context, r frontend.ImageRequest) (frontend.ImageAnswer, error) {
	return s.images.resolveFor(ctx, r)
}

func (s *session) ResolveGit(ctx context.Context, o *pb.SourceOp, object bool) (frontend.GitAnswer, error) {
	res, commit, tag, err := s.world.ResolveGit(ctx, o, object)
	if err != nil {
		return frontend.GitAnswer{}, err
	}
	return frontend.GitAnswer{Ref: res.Ref, Object: res.Object, Commit: res.Commit, RawCommit: commit, RawTag: tag}, nil
}

func (s *session) ResolveHTTP(ctx context.Context, o *pb.SourceOp) (frontend.HTTPAnswer, error) {
	res, err := s.world.ResolveHTTP(ctx, o)
	if err != nil {
		return frontend.HTTPAnswer{}, err
	}
	return frontend.HTTPAnswer{Digest: res.Digest, Filename: res.Filename, LastModified: res.LastModified}, nil
}

func (s *session) Warn(w *client.VertexWarning) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.warned {
		return
	}
	s.warnings = append(s.warnings, *w)
	s.progress.Warn(w)
}

// readConfined reads the first limit bytes of the regular file name inside root.
func readConfined(root *os.File, name string, limit int64) ([]byte, error) {
	f, err := safepath.OpenRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, limit)
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // what hangs is refused
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, fmt.Errorf("read %s: is a directory; name the Dockerfile in it with -f", path)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file: %w", path, errs.ErrInvalid)
	}
	return readAll(f, limit)
}
