package solve

import (
	"strings"
	"sync"

	"github.com/mica-build/mica/store"
)

// Steps say which step made a layer, in the words that BuildKit puts into the
// history of an image for a layer that the Dockerfile's own history does not
// mention. The zero value is empty; it is safe for concurrent use.
type Steps struct {
	mu sync.Mutex
	by map[store.LayerID]string
}

// Of is the step that made the layer, "" if none did in this build.
func (s *Steps) Of(id store.LayerID) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.by[id]
}

// Set says that step made the layer.
func (s *Steps) Set(id store.LayerID, step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[store.LayerID]string{}
	}
	s.by[id] = step
}

// learn notes that n made the top layer of each of vals.
func (s *Steps) learn(n *Node, vals []Value) {
	for _, v := range vals {
		if len(v.Layers) == 0 {
			continue
		}
		if id := v.Layers[len(v.Layers)-1].made(); id != "" {
			s.Set(id, n.made())
		}
	}
}

// made is the layer's id, "" for one that was not made by a step.
func (l *Layer) made() store.LayerID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fetch != nil {
		return ""
	}
	return l.tree.ID
}

// made describes what the node puts into a layer.
func (n *Node) made() string {
	if e := n.Op.GetExec(); e != nil {
		return "mount / from exec " + strings.Join(e.GetMeta().GetArgs(), " ")
	}
	return n.Name()
}
