package op

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/build/source"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

func newSource(w *World, n *solve.Node, op *pb.SourceOp) (solve.Op, error) {
	scheme, rest, ok := strings.Cut(op.Identifier, "://")
	if !ok {
		return nil, fmt.Errorf("source %q: %w", op.Identifier, errs.ErrInvalid)
	}
	switch scheme {
	case "local":
		return &localSource{w: w, op: op, name: rest}, nil
	case "docker-image":
		return &imageSource{w: w, n: n, ref: rest}, nil
	case "oci-layout":
		return &imageSource{w: w, n: n, ref: rest, layout: op.Attrs[pb.AttrOCILayoutStoreID]}, nil
	case "http", "https":
		return &httpSource{w: w, op: op}, nil
	case "git":
		return &gitSource{w: w, op: op}, nil
	}
	return nil, fmt.Errorf("source %q: %w", op.Identifier, errs.ErrUnsupported)
}

// localSource is a live directory: nothing is read until a step needs it.
type localSource struct {
	w    *World
	op   *pb.SourceOp
	name string
}

func (s *localSource) Keys(context.Context, []solve.Value) (*solve.Keys, error) { return nil, nil }

func (s *localSource) Run(context.Context, []solve.Value) ([]solve.Value, error) {
	l, ok := s.w.Locals[s.name]
	if !ok {
		return nil, fmt.Errorf("local source %q: %w", s.name, errs.ErrNotFound)
	}
	v := *l
	if p := s.op.Attrs[pb.AttrExcludePatterns]; p != "" {
		if err := json.Unmarshal([]byte(p), &v.Exclude); err != nil {
			return nil, fmt.Errorf("local source %q: exclude patterns: %w", s.name, err)
		}
	}
	return []solve.Value{{Local: &v}}, nil
}

// imageSource is the layers of an image, fetched when a step needs their files.
type imageSource struct {
	w           *World
	n           *solve.Node
	ref, layout string
}

func (s *imageSource) Keys(context.Context, []solve.Value) (*solve.Keys, error) { return nil, nil }

func (s *imageSource) Run(ctx context.Context, _ []solve.Value) ([]solve.Value, error) {
	layers, err := s.w.Images.Layers(ctx, s.ref, s.layout, platformOf(s.n.Op), s.n.Digest)
	if err != nil {
		return nil, err
	}
	// The files, not the name or the compression, are what steps depend on.
	ids := make([]string, len(layers))
	for i, l := range layers {
		ids[i] = string(l.DiffID)
	}
	return []solve.Value{{Key: solve.Hash("image", ids...), Layers: layers}}, nil
}

func platformOf(op *pb.Op) *image.Platform {
	if op.Platform == nil {
		return nil
	}
	p := op.Platform.Spec()
	return &p
}

// httpSource is one downloaded file.
type httpSource struct {
	w   *World
	op  *pb.SourceOp
	res *source.HTTPResult
}

func (s *httpSource) Keys(ctx context.Context, _ []solve.Value) (*solve.Keys, error) {
	var err error
	if path, ok := s.w.Files[s.op.Identifier]; ok {
		s.res, err = localFile(path, s.op.Attrs[pb.AttrHTTPFilename])
	} else {
		s.res, err = s.w.Sources.ResolveHTTP(ctx, s.request())
	}
	if err != nil {
		return nil, err
	}
	return &solve.Keys{Definition: solve.NewPreimage("http", s.res.Key), Type: "regular"}, nil
}

func (s *httpSource) request() source.HTTPRequest {
	return source.HTTPRequest{URL: s.op.Identifier, Attrs: s.op.Attrs}
}

func (s *httpSource) Run(ctx context.Context, _ []solve.Value) (_ []solve.Value, err error) {
	if s.res.Path == "" { // a pinned checksum was the answer so far
		if s.res, err = s.w.Sources.FetchHTTP(ctx, s.request()); err != nil {
			return nil, err
		}
	}
	return s.w.place(ctx, func(dir *os.File) error { return s.w.Sources.PlaceHTTP(s.res, dir) })
}

// localFile describes a file on disk as if it had been downloaded.
func localFile(path, name string) (*source.HTTPResult, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := digest.FromReader(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if name == "" {
		name = "context"
	}
	return &source.HTTPResult{Digest: d, Filename: name, Path: path, Key: "file " + name + " " + d.String()}, nil
}

// gitSource is a checkout of one commit.
type gitSource struct {
	w   *World
	op  *pb.SourceOp
	req source.GitRequest
	res *source.GitResult
}

func (s *gitSource) Keys(ctx context.Context, _ []solve.Value) (*solve.Keys, error) {
	s.req = source.GitRequest{URL: strings.TrimPrefix(s.op.Identifier, "git://"), Attrs: s.op.Attrs}
	var err error
	if s.res, err = s.w.Sources.ResolveGit(ctx, s.req); err != nil {
		return nil, err
	}
	return &solve.Keys{Definition: solve.NewPreimage("git", s.res.Key), Type: "source.git.checkout"}, nil
}

func (s *gitSource) Run(ctx context.Context, _ []solve.Value) ([]solve.Value, error) {
	return s.w.place(ctx, func(dir *os.File) error { return s.w.Sources.CheckoutGit(ctx, s.req, s.res, dir) })
}

// place makes a one-layer value of what fill puts into an empty directory.
func (w *World) place(ctx context.Context, fill func(dir *os.File) error) ([]solve.Value, error) {
	k, err := w.start(ctx, solve.Value{})
	if err != nil {
		return nil, err
	}
	defer k.discard()
	if err := fill(k.tree.File()); err != nil {
		return nil, err
	}
	v, err := k.commit(ctx)
	if err != nil {
		return nil, err
	}
	return []solve.Value{v}, nil
}

// ResolveHTTP looks at a URL, downloading it if that is the only way to know.
func (w *World) ResolveHTTP(ctx context.Context, op *pb.SourceOp) (*source.HTTPResult, error) {
	s := &httpSource{w: w, op: op}
	if _, err := s.Keys(ctx, nil); err != nil {
		return nil, err
	}
	return s.res, nil
}

// IsRemote says whether a source may change without a trace on this machine.
func IsRemote(op *pb.SourceOp) bool {
	scheme, _, _ := strings.Cut(op.Identifier, "://")
	return scheme != "local" && scheme != "docker-image"
}

// ResolveGit looks at a git reference; object adds the raw commit, and the tag
// if an annotated one names it, which have to be fetched.
func (w *World) ResolveGit(ctx context.Context, op *pb.SourceOp, object bool) (res *source.GitResult, commit, tag []byte, err error) {
	req := source.GitRequest{URL: strings.TrimPrefix(op.Identifier, "git://"), Attrs: op.Attrs}
	if res, err = w.Sources.ResolveGit(ctx, req); err != nil || !object {
		return res, nil, nil, err
	}
	commit, tag, err = w.Sources.GitObjects(ctx, req, res)
	return res, commit, tag, err
}
