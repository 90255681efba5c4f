package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	commonexptypes "github.com/moby/buildkit/exporter/exptypes"
	"github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	gateway "github.com/moby/buildkit/frontend/gateway/client"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// A Backend is what the front end asks of the build.
type Backend interface {
	// Load adds a definition to the build's graph.
	Load(def *pb.Definition) (solve.Edge, error)
	// ReadFile reads at most limit bytes of a file in e's tree, and Stat gives
	// its size and mode.
	ReadFile(ctx context.Context, e solve.Edge, name string, limit int64) ([]byte, error)
	Stat(ctx context.Context, e solve.Edge, name string) (FileInfo, error)
	// ResolveImage finds an image and gives its config. The name that comes back
	// is the one to use from then on.
	ResolveImage(ctx context.Context, r ImageRequest) (ImageAnswer, error)
	// ResolveGit and ResolveHTTP look at a source without fetching it into a tree.
	// object asks for the raw objects as well.
	ResolveGit(ctx context.Context, op *pb.SourceOp, object bool) (GitAnswer, error)
	ResolveHTTP(ctx context.Context, op *pb.SourceOp) (HTTPAnswer, error)
	// Warn is told what the front end has to say about a vertex.
	Warn(w *client.VertexWarning)
}

// FileInfo is what Stat answers.
type FileInfo struct {
	Size int64
	Mode uint32 // type and permission bits as in fs.FileMode
}

// An ImageRequest names an image for one platform.
type ImageRequest struct {
	Ref      string
	LayoutID string // of the OCI layout that holds it; "" is the store and registries
	Platform *image.Platform
	Mode     string // "default", "pull" or "local"
	LogName  string
}

// ImageAnswer is a resolved image.
type ImageAnswer struct {
	Ref    string
	Digest digest.Digest
	Config []byte
}

// GitAnswer is a resolved git reference.
type GitAnswer struct {
	Ref    string
	Object string // what the ref names: an annotated tag, or the commit
	Commit string
	// RawCommit and RawTag are the objects themselves, when they were asked for.
	RawCommit, RawTag []byte
}

// HTTPAnswer is a resolved URL.
type HTTPAnswer struct {
	Digest       digest.Digest
	Filename     string
	LastModified *time.Time
}

// Options are the build's settings, in the front end's own string form
// ("target", "build-arg:NAME", "platform", "context:NAME", ...).
type Options map[string]string

// A Result is what the front end made of a Dockerfile.
type Result struct {
	// Targets holds one entry for each platform, in the order asked for.
	Targets []Target
	// Multi says that an index was asked for, also for one platform.
	Multi bool
	// Answer holds the parts of the answer to a subrequest (check, outline ...).
	Answer map[string][]byte
}

// A Target is one image to build.
type Target struct {
	ID         string // the platform as text
	Platform   image.Platform
	Edge       solve.Edge
	Config     []byte
	BaseConfig []byte // nil when there is no base image
	Epoch      *time.Time
}

// Solve runs the front end on the Dockerfile that o and b lead to.
func Solve(ctx context.Context, b Backend, o Options, platforms []image.Platform) (*Result, error) {
	g := &gatewayClient{backend: b, opts: o, platforms: platforms}
	res, err := builder.Build(ctx, g)
	if err != nil {
		return nil, err
	}
	return convert(res)
}

func convert(res *gateway.Result) (*Result, error) {
	raw, ok := res.Metadata[exptypes.ExporterPlatformsKey]
	if !ok {
		return &Result{Answer: res.Metadata}, nil
	}
	var ps exptypes.Platforms
	if err := json.Unmarshal(raw, &ps); err != nil {
		return nil, fmt.Errorf("front end's platforms: %w", err)
	}
	if n := len(res.Refs); n > 0 && n != len(ps.Platforms) {
		return nil, fmt.Errorf("front end gave %d results for %d platforms: %w", n, len(ps.Platforms), errs.ErrInvalid)
	}
	out := &Result{Multi: len(res.Refs) > 0}
	for _, p := range ps.Platforms {
		t := Target{ID: p.ID, Platform: p.Platform}
		ref, ok := res.FindRef(p.ID)
		if !ok {
			return nil, fmt.Errorf("front end gave no result for %s: %w", p.ID, errs.ErrInvalid)
		}
		if ref != nil {
			r, ok := ref.(*reference)
			if !ok {
				return nil, fmt.Errorf("front end's reference is a %T: %w", ref, errs.ErrInvalid)
			}
			t.Edge = r.edge
		}
		t.Config = exptypes.ParseKey(res.Metadata, exptypes.ExporterImageConfigKey, &p)
		t.BaseConfig = exptypes.ParseKey(res.Metadata, exptypes.ExporterImageBaseConfigKey, &p)
		if s := exptypes.ParseKey(res.Metadata, commonexptypes.ExporterEpochKey, &p); len(s) > 0 {
			sec, err := strconv.ParseInt(string(s), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("source date epoch %q: %w", s, err)
			}
			tm := time.Unix(sec, 0).UTC()
			t.Epoch = &tm
		}
		out.Targets = append(out.Targets, t)
	}
	return out, nil
}
