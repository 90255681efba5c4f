package solve

import (
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/solver/pb"

	"github.com/mica-build/mica/store"
)

// An Outcome is how one node was resolved.
type Outcome struct {
	Node *Node
	// Key is the definition key and Definition its preimage; "" and nil for a
	// node that has no record. Content is the preimage of the content key, nil
	// unless it was asked for.
	Key                 store.Key
	Definition, Content []byte
	Values              []Value // nil when Err is set
	Cached              bool    // the result came from the cache
	Planned             bool    // the step would run, or stands on one that would
	Stable              bool    // false: its input changed while it ran
	Started, Ended      time.Time
	Err                 error
}

// Ran says that the step was not in the cache and was run, whether or not it
// succeeded.
func (o *Outcome) Ran() bool { return o.Key != "" && !o.Cached && !o.Planned }

// Made is the layer that the step put on top, "" if it made none.
func (o *Outcome) Made() store.LayerID {
	for _, v := range o.Values {
		if len(v.Layers) > 0 {
			return v.Layers[len(v.Layers)-1].id()
		}
	}
	return ""
}

// id is the layer's tree, "" for one that was not fetched.
func (l *Layer) id() store.LayerID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tree.ID
}

func (o *Outcome) keys(st *stepState) {
	o.Key, o.Definition, o.Content = st.def, st.defRaw, st.conRaw
}

// tell reports the outcome.
func (s *Solver) tell(o *Outcome, vals []Value, cached bool, err error) {
	if s.OnOutcome == nil {
		return
	}
	o.Values, o.Cached, o.Err, o.Ended = vals, cached, err, time.Now()
	s.OnOutcome(o)
}

func planned(in []Value) bool {
	return slices.ContainsFunc(in, func(v Value) bool { return v.Planned })
}

// plan gives the values of a step as if it had run. What was built on it before
// is found again under its key, unless the step is to run anew.
func (st *stepState) plan() []Value {
	key := st.def
	if st.n.IgnoreCache() {
		key = Hash("planned", string(st.def))
	}
	vals := make([]Value, st.n.outputs())
	for i := range vals {
		vals[i] = Value{Key: outputKey(key, i), Planned: true}
	}
	return vals
}

// outputs is how many outputs the node has.
func (n *Node) outputs() int {
	most := int64(0)
	for _, m := range n.Op.GetExec().GetMounts() {
		most = max(most, m.Output)
	}
	for _, a := range n.Op.GetFile().GetActions() {
		most = max(most, a.Output)
	}
	return int(most) + 1
}

// Kind is what sort of step n is: exec, file, image, local, git, http, merge or
// diff; "" for any other.
func (n *Node) Kind() string {
	switch op := n.Op.Op.(type) {
	case *pb.Op_Exec:
		return "exec"
	case *pb.Op_File:
		return "file"
	case *pb.Op_Merge:
		return "merge"
	case *pb.Op_Diff:
		return "diff"
	case *pb.Op_Source:
		switch scheme, _, _ := strings.Cut(op.Source.Identifier, "://"); scheme {
		case "docker-image", "oci-layout":
			return "image"
		case "https":
			return "http"
		default:
			return scheme
		}
	}
	return ""
}
