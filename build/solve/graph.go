package solve

import (
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"

	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
)

// A Node is one vertex of the graph. It is immutable, but that a later definition
// may ask for a run without the cache.
type Node struct {
	Digest digest.Digest // of the marshalled vertex: its identity in this build
	Op     *pb.Op
	Meta   *pb.OpMetadata
	Inputs []Edge
	Source *SourceRef // nil when no Dockerfile line made it

	ignoreCache atomic.Bool
}

// An Edge is one output of a node.
type Edge struct {
	Node  *Node
	Index int
}

// A SourceRef says which lines of which file made a node.
type SourceRef struct {
	Info   *pb.SourceInfo
	Ranges []*pb.Range
}

// Name is the text shown for the node in progress, and kept in records. URLs in
// it are without user and password.
func (n *Node) Name() string { return Redact(n.name()) }

// Redact takes user and password out of the URLs in a text.
func Redact(text string) string { return userinfo.ReplaceAllString(text, "${1}${2}") }

// userinfo finds what stands before the host in the URLs of a text. A user of
// ssh is none's secret, unless a password follows.
var userinfo = regexp.MustCompile(`(?i)(\bhttps?://)[^/?#\s]*@|(\b(?:git|ssh|s?ftp|socks5h?)://)[^/?#\s@:]*:[^/?#\s]*@`)

func (n *Node) name() string {
	if s := n.Meta.GetDescription()["llb.customname"]; s != "" {
		return s
	}
	switch op := n.Op.Op.(type) {
	case *pb.Op_Source:
		return op.Source.Identifier
	case *pb.Op_Exec:
		return fmt.Sprintf("exec %v", op.Exec.GetMeta().GetArgs())
	case *pb.Op_File:
		return "file"
	case *pb.Op_Merge:
		return "merge"
	case *pb.Op_Diff:
		return "diff"
	}
	return "build"
}

// IgnoreCache says that the step must run although a record exists.
func (n *Node) IgnoreCache() bool { return n.Meta.GetIgnoreCache() || n.ignoreCache.Load() }

// A Graph collects the nodes of one build from any number of definitions, so
// that a vertex that several of them share is one node. It is safe for
// concurrent use.
type Graph struct {
	mu    sync.Mutex
	nodes map[digest.Digest]*Node
}

// NewGraph makes an empty graph.
func NewGraph() *Graph { return &Graph{nodes: map[digest.Digest]*Node{}} }

// Load adds def and returns its result. The zero Edge stands for scratch, the
// empty tree. Errors match errs.ErrInvalid.
func (g *Graph) Load(def *pb.Definition) (Edge, error) {
	if def == nil || len(def.Def) == 0 {
		return Edge{}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	ops := make(map[digest.Digest]*pb.Op, len(def.Def))
	var last digest.Digest
	for _, raw := range def.Def {
		op := new(pb.Op)
		if err := op.UnmarshalVT(raw); err != nil {
			return Edge{}, fmt.Errorf("decode build graph: %w: %w", errs.ErrInvalid, err)
		}
		last = digest.FromBytes(raw)
		ops[last] = op
	}
	// The last vertex only points at the result.
	end := ops[last]
	if len(end.Inputs) == 0 {
		return Edge{}, nil
	}
	l := loader{g: g, def: def, ops: ops, active: map[digest.Digest]bool{}}
	return l.edge(end.Inputs[0])
}

type loader struct {
	g      *Graph
	def    *pb.Definition
	ops    map[digest.Digest]*pb.Op
	active map[digest.Digest]bool
}

func (l *loader) edge(in *pb.Input) (Edge, error) {
	n, err := l.node(digest.Digest(in.Digest))
	if err != nil {
		return Edge{}, err
	}
	if in.Index < 0 {
		return Edge{}, fmt.Errorf("decode build graph: output %d of %s: %w", in.Index, in.Digest, errs.ErrInvalid)
	}
	return Edge{Node: n, Index: int(in.Index)}, nil
}

func (l *loader) node(d digest.Digest) (*Node, error) {
	if n, ok := l.g.nodes[d]; ok {
		if md := l.def.Metadata[string(d)]; md.GetIgnoreCache() && !n.IgnoreCache() {
			n.ignoreCache.Store(true)
		}
		return n, nil
	}
	op, ok := l.ops[d]
	if !ok {
		return nil, fmt.Errorf("decode build graph: vertex %s is missing: %w", d, errs.ErrInvalid)
	}
	if l.active[d] {
		return nil, fmt.Errorf("decode build graph: %w", errors.Join(errs.ErrInvalid, errors.New("circular vertices")))
	}
	l.active[d] = true
	n := &Node{Digest: d, Op: op, Meta: l.def.Metadata[string(d)], Source: l.source(d)}
	for _, in := range op.Inputs {
		e, err := l.edge(in)
		if err != nil {
			return nil, err
		}
		n.Inputs = append(n.Inputs, e)
	}
	l.g.nodes[d] = n
	return n, nil
}

func (l *loader) source(d digest.Digest) *SourceRef {
	src := l.def.Source
	if src == nil {
		return nil
	}
	for _, loc := range src.Locations[string(d)].GetLocations() {
		if i := int(loc.SourceIndex); i >= 0 && i < len(src.Infos) && len(loc.Ranges) > 0 {
			return &SourceRef{Info: src.Infos[i], Ranges: loc.Ranges}
		}
	}
	return nil
}

// Any says whether f holds for some node.
func (g *Graph) Any(f func(*Node) bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range g.nodes {
		if f(n) {
			return true
		}
	}
	return false
}
