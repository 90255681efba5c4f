package op

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/build/source"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/sandbox"
	"github.com/mica-build/mica/snapshot"
	"github.com/mica-build/mica/store"
)

// A Runner runs one isolated process.
type Runner interface {
	Run(ctx context.Context, s *sandbox.Spec) error
}

// Images finds base images.
type Images interface {
	// Layers gives the layers of the image that ref (docker-image) or layoutRef
	// (oci-layout) names for platform p, without fetching them.
	Layers(ctx context.Context, ref, layoutID string, p *image.Platform, vertex digest.Digest) ([]*solve.Layer, error)
}

// World is what the steps of one build work with. All fields but Log are needed.
type World struct {
	Store    *store.Store
	Mounter  snapshot.Mounter
	Runner   Runner
	Images   Images
	Sources  *source.Client
	Locals   map[string]*solve.Local
	Digester func(*solve.Local) fileop.Digester
	Secrets  source.Secrets
	SSH      source.SSH
	Progress *solve.Progress
	Steps    *solve.Steps
	Log      *slog.Logger

	// OnRead, when not nil, hears of everything that is keyed by the content of a
	// live directory. It may be called concurrently.
	OnRead func(Read)
	// OnContent, when not nil, hears of every part of an input that a step counts
	// by its content, OnCPU of the processor time that a step's process took. They
	// may be called concurrently.
	OnContent func(step digest.Digest, input, index int, src string, c *fileop.Content)
	OnCPU     func(step digest.Digest, t time.Duration)
	// OnFailure, when not nil, is given the failed step's root and inputs before
	// they go.
	OnFailure func(ctx context.Context, k *Kept)
	// Files are local bodies for URLs that only this build knows (a context on
	// standard input).
	Files map[string]string
	// AllowHost and AllowInsecure are the granted entitlements.
	AllowHost, AllowInsecure bool
	// CheckPlatform says whether programs of a platform can run here.
	CheckPlatform func(image.Platform) error

	result      map[digest.Digest]bool // steps whose layers will be in the image
	identifying sync.WaitGroup
	mu          sync.Mutex
	cancel      []context.CancelFunc // of what is being identified
	sums        map[string]*stackDigests
}

// Op makes the operation of n.
func (w *World) Op(n *solve.Node) (solve.Op, error) {
	switch o := n.Op.Op.(type) {
	case *pb.Op_Exec:
		return newExec(w, n, o.Exec)
	case *pb.Op_File:
		return newFile(w, n, o.File)
	case *pb.Op_Source:
		return newSource(w, n, o.Source)
	case *pb.Op_Merge:
		return &merge{w: w, n: n, op: o.Merge}, nil
	case *pb.Op_Diff:
		return &diff{op: o.Diff}, nil
	case *pb.Op_Passthrough:
		return &passthrough{op: o.Passthrough}, nil
	}
	return nil, fmt.Errorf("build step of kind %T: %w", n.Op.Op, errs.ErrUnsupported)
}

// lowers lists the layer directories of v, bottom first. A layer that stands in
// the stack twice is used once, at its higher place: overlayfs takes no
// directory twice, and the higher one hides the lower one entirely.
func (w *World) lowers(ctx context.Context, v solve.Value) ([]string, error) {
	stack, err := v.Stack(ctx)
	if err != nil {
		return nil, err
	}
	last := make(map[store.LayerID]int, len(stack))
	for i, l := range stack {
		last[l.ID] = i
	}
	dirs := make([]string, 0, len(stack))
	for i, l := range stack {
		if last[l.ID] == i {
			dirs = append(dirs, l.Dir)
		}
	}
	return dirs, nil
}

// view mounts v read-only. An empty stack is an empty directory.
func (w *World) view(ctx context.Context, v solve.Value) (*snapshot.Tree, error) {
	dirs, err := w.lowers(ctx, v)
	if err != nil {
		return nil, err
	}
	if len(dirs) == 0 {
		dir, err := w.Store.TempDir(ctx, "empty-")
		if err != nil {
			return nil, err
		}
		dirs = []string{dir}
	}
	return w.Mounter.Mount(ctx, snapshot.Request{Lower: dirs})
}

// source opens v as a tree to read from.
func (w *World) source(ctx context.Context, v solve.Value) (*fileop.Source, func(), error) {
	if l := v.Local; l != nil {
		f, err := os.Open(l.Dir)
		if err != nil {
			return nil, nil, fmt.Errorf("open context %s: %w", l.Name, err)
		}
		s := &fileop.Source{Dir: f, Exclude: l.Exclude, Context: !l.Owned}
		if w.Digester != nil {
			s.Digests = w.Digester(l)
		}
		return s, func() { f.Close() }, nil
	}
	t, err := w.view(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	return &fileop.Source{Dir: t.File(), Digests: w.digests(v)}, func() { t.Close() }, nil
}

// digestPath is the content key of the tree below path in v, the index-th that
// step reads of its input i.
func (w *World) digestPath(ctx context.Context, step digest.Digest, i, index int, v solve.Value, path string) (digest.Digest, error) {
	src, done, err := w.source(ctx, v)
	if err != nil {
		return "", err
	}
	defer done()
	c, err := fileop.PathContent(ctx, src, path)
	if err != nil {
		return "", err
	}
	w.saw(v, Read{Path: path, Digest: c.Digest})
	w.content(step, i, index, path, c)
	return c.Digest, nil
}

func (w *World) content(step digest.Digest, i, index int, src string, c *fileop.Content) {
	if w.OnContent != nil {
		w.OnContent(step, i, index, src, c)
	}
}

// A Read is a part of a live directory that decided a step's key: what a copy
// takes, or all below a path.
type Read struct {
	Local  *solve.Local
	Copy   *pb.FileActionCopy
	Path   string
	Digest digest.Digest
}

func (w *World) saw(v solve.Value, r Read) {
	if v.Local == nil || w.OnRead == nil {
		return
	}
	r.Local = v.Local
	w.OnRead(r)
}

// Open opens v's tree; done releases it.
func (w *World) Open(ctx context.Context, v solve.Value) (dir *os.File, done func(), err error) {
	src, done, err := w.source(ctx, v)
	if err != nil {
		return nil, nil, err
	}
	return src.Dir, done, nil
}

// based gives in with the live directories for which under says yes as stacks
// of one layer, since a step works on top of them.
func (w *World) based(ctx context.Context, in []solve.Value, under func(i int) bool) ([]solve.Value, error) {
	out := slices.Clone(in)
	for i, v := range in {
		if v.Local == nil || !under(i) {
			continue
		}
		var err error
		if out[i], err = w.Freeze(ctx, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Freeze turns a live directory into a stack of one layer.
func (w *World) Freeze(ctx context.Context, v solve.Value) (solve.Value, error) {
	return w.freeze(ctx, v, "/")
}
