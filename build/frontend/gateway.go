package frontend

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/builder"
	gateway "github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// gatewayClient is the front end's view of the build.
type gatewayClient struct {
	backend   Backend
	opts      Options
	platforms []image.Platform
}

var _ gateway.Client = (*gatewayClient)(nil)

// Solve is lazy: it answers a reference, which is solved when somebody reads it.
func (g *gatewayClient) Solve(ctx context.Context, req gateway.SolveRequest) (*gateway.Result, error) {
	if req.Frontend != "" {
		return g.forward(ctx, req)
	}
	e, err := g.backend.Load(req.Definition)
	if err != nil {
		return nil, err
	}
	res := gateway.NewResult()
	if e.Node != nil {
		ref := &reference{b: g.backend, edge: e, def: req.Definition}
		if req.Evaluate {
			if err := ref.Evaluate(ctx); err != nil {
				return nil, err
			}
		}
		res.SetRef(ref)
	}
	return res, nil
}

// forward answers `# syntax=docker/dockerfile:…` with the built-in front end,
// which is that image's program. Other front ends are images that would have
// to be run: an error that says so.
func (g *gatewayClient) forward(ctx context.Context, req gateway.SolveRequest) (*gateway.Result, error) {
	src := req.FrontendOpt["source"]
	if req.Frontend != "gateway.v0" || !builtin(src) {
		return nil, fmt.Errorf("front end %q: %w: mica has docker/dockerfile built in and runs no other; remove the syntax line or set --build-arg BUILDKIT_SYNTAX=docker/dockerfile", src, errs.ErrUnsupported)
	}
	opts := Options(maps.Clone(req.FrontendOpt))
	opts["cmdline"] = src
	return builder.Build(ctx, &gatewayClient{backend: g.backend, opts: opts, platforms: g.platforms})
}

// builtin says whether ref names the Dockerfile front end that is built in.
func builtin(ref string) bool {
	ref = strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "index.docker.io/")
	name, _, _ := strings.Cut(ref, "@")
	name, _, _ = strings.Cut(name, ":")
	switch name {
	case "docker/dockerfile", "docker/dockerfile-upstream", "dockerfile.v0":
		return true
	}
	return false
}

func (g *gatewayClient) ResolveImageConfig(ctx context.Context, ref string, opt sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	r := ImageRequest{Ref: ref, LogName: opt.LogName}
	switch {
	case opt.OCILayoutOpt != nil:
		r.LayoutID, r.Platform = opt.OCILayoutOpt.Store.StoreID, opt.OCILayoutOpt.Platform
	case opt.ImageOpt != nil:
		r.Platform, r.Mode = opt.ImageOpt.Platform, opt.ImageOpt.ResolveMode
	}
	a, err := g.backend.ResolveImage(ctx, r)
	if err != nil {
		return "", "", nil, err
	}
	return a.Ref, a.Digest, a.Config, nil
}

func (g *gatewayClient) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	res := &sourceresolver.MetaResponse{Op: op}
	scheme, rest, _ := strings.Cut(op.Identifier, "://")
	switch scheme {
	case "docker-image", "oci-layout":
		_, d, cfg, err := g.ResolveImageConfig(ctx, rest, opt)
		if err != nil {
			return nil, err
		}
		res.Image = &sourceresolver.ResolveImageResponse{Digest: d, Config: cfg}
	case "git":
		a, err := g.backend.ResolveGit(ctx, op, opt.GitOpt != nil && opt.GitOpt.ReturnObject)
		if err != nil {
			return nil, err
		}
		res.Git = gitResponse(a, op.Attrs[pb.AttrKeepGitDir] == "true")
	case "http", "https":
		a, err := g.backend.ResolveHTTP(ctx, op)
		if err != nil {
			return nil, err
		}
		res.HTTP = &sourceresolver.ResolveHTTPResponse{Digest: a.Digest, Filename: a.Filename, LastModified: a.LastModified}
	}
	return res, nil
}

// gitResponse names an annotated tag and its commit apart; with .git kept the
// tag is what counts.
func gitResponse(a GitAnswer, keepGitDir bool) *sourceresolver.ResolveGitResponse {
	r := &sourceresolver.ResolveGitResponse{Ref: a.Ref, Checksum: a.Object, CommitObject: a.RawCommit, TagObject: a.RawTag}
	if a.Commit != a.Object && !keepGitDir {
		r.CommitChecksum = a.Commit
	}
	return r
}

func (g *gatewayClient) BuildOpts() gateway.BuildOpts {
	return gateway.BuildOpts{
		Opts:    g.opts,
		Workers: []gateway.WorkerInfo{{ID: "mica", Platforms: g.platforms}},
		Product: "mica",
		LLBCaps: pb.Caps.CapSet(pb.Caps.All()),
		Caps:    gwpb.Caps.CapSet(gwpb.Caps.All()),
	}
}

func (g *gatewayClient) Inputs(context.Context) (map[string]llb.State, error) {
	return map[string]llb.State{}, nil
}

func (g *gatewayClient) NewContainer(context.Context, gateway.NewContainerRequest) (gateway.Container, error) {
	return nil, fmt.Errorf("containers for a front end: %w", errs.ErrUnsupported)
}

func (g *gatewayClient) Warn(_ context.Context, d digest.Digest, msg string, o gateway.WarnOpts) error {
	g.backend.Warn(&client.VertexWarning{
		Vertex: d, Level: o.Level, Short: []byte(msg), Detail: o.Detail, URL: o.URL, SourceInfo: o.SourceInfo, Range: o.Range,
	})
	return nil
}
