package solve

import (
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"
)

// Progress turns what happens into status updates. The sink is called from one
// goroutine at a time, in order. A nil *Progress discards everything.
type Progress struct {
	mu   sync.Mutex
	sink func(*client.SolveStatus)
	seen map[digest.Digest]*client.Vertex
	list []*client.Vertex // seen, in order
}

// NewProgress reports to sink, which may be nil.
func NewProgress(sink func(*client.SolveStatus)) *Progress {
	return &Progress{sink: sink, seen: map[digest.Digest]*client.Vertex{}}
}

func (p *Progress) send(s *client.SolveStatus) {
	if p == nil || p.sink == nil {
		return
	}
	p.sink(s)
}

// Start says that the vertex named d began (again).
func (p *Progress) Start(d digest.Digest, name string, inputs []digest.Digest, group *pb.ProgressGroup) {
	if p == nil {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	v := &client.Vertex{Digest: d, Name: name, Inputs: inputs, Started: &now, ProgressGroup: group}
	if p.seen[d] == nil {
		p.list = append(p.list, v)
	}
	p.seen[d] = v
	p.send(&client.SolveStatus{Vertexes: []*client.Vertex{copyVertex(v)}})
}

// Done says that the vertex ended: from the cache, or by running, with err.
func (p *Progress) Done(d digest.Digest, cached bool, err error) {
	if p == nil {
		return
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	v := p.seen[d]
	if v == nil || v.Completed != nil {
		return
	}
	v.Completed, v.Cached = &now, cached
	if err != nil {
		v.Error = err.Error()
	}
	p.send(&client.SolveStatus{Vertexes: []*client.Vertex{copyVertex(v)}})
}

// Log passes on what the vertex wrote to stream 1 (stdout) or 2 (stderr).
func (p *Progress) Log(d digest.Digest, stream int, data []byte) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send(&client.SolveStatus{Logs: []*client.VertexLog{{
		Vertex: d, Stream: stream, Data: append([]byte(nil), data...), Timestamp: time.Now(),
	}}})
}

// Status reports how far a part of the vertex is, in bytes; total 0 is unknown.
func (p *Progress) Status(d digest.Digest, id string, current, total int64, started time.Time, done bool) {
	if p == nil {
		return
	}
	now := time.Now()
	s := &client.VertexStatus{ID: id, Vertex: d, Name: id, Current: current, Total: total, Timestamp: now, Started: &started}
	if done {
		s.Completed = &now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send(&client.SolveStatus{Statuses: []*client.VertexStatus{s}})
}

// Warn passes on a warning.
func (p *Progress) Warn(w *client.VertexWarning) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send(&client.SolveStatus{Warnings: []*client.VertexWarning{w}})
}

// Step runs f as a vertex of its own that is not in the graph ("[internal]
// load metadata", "exporting to image").
func (p *Progress) Step(name string, f func(d digest.Digest) error) error {
	d := digest.FromString(name)
	p.Start(d, name, nil, nil)
	err := f(d)
	p.Done(d, false, err)
	return err
}

func copyVertex(v *client.Vertex) *client.Vertex {
	c := *v
	return &c
}

// Writer is an io.Writer for one stream of a vertex's log.
type Writer struct {
	Progress *Progress
	Vertex   digest.Digest
	Stream   int
}

func (w Writer) Write(b []byte) (int, error) {
	w.Progress.Log(w.Vertex, w.Stream, b)
	return len(b), nil
}

// Vertexes lists what was started, in order, as copies.
func (p *Progress) Vertexes() []*client.Vertex {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]*client.Vertex, len(p.list))
	for i, v := range p.list {
		out[i] = copyVertex(p.seen[v.Digest])
		out[i].Cached = out[i].Cached || len(v.Inputs) > 0
	}
	return out
}
