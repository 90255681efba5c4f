//go:build linux

package history

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/internal/atomicfile"
	"github.com/mica-build/mica/internal/lockfile"
	"github.com/mica-build/mica/internal/redact"
)

// A Recorder writes one build down while it runs. What cannot be written is left
// out. A nil *Recorder records nothing.
type Recorder struct {
	// Mask knows the secrets that must not get into the logs; nil is none. It is
	// set before the first Status.
	Mask *redact.Mask

	h    *History
	id   ID
	lock *lockfile.Lock

	mu      sync.Mutex
	steps   *os.File
	numbers map[digest.Digest]int
	logs    map[digest.Digest]*stepLog
	cpu     map[digest.Digest]time.Duration
}

// stepLog is the file of what one step wrote. It stays open until the step ends.
type stepLog struct {
	f    *os.File
	w    *redact.Writer // to f
	size int64
}

// Write is what w writes to.
func (l *stepLog) Write(b []byte) (int, error) {
	n, err := l.f.Write(b)
	l.size += int64(n)
	return n, err
}

func (l *stepLog) close() {
	if l == nil || l.f == nil {
		return
	}
	_ = l.w.Flush()
	l.f.Close()
	l.f = nil
}

// Add records a build that is over already.
func (h *History) Add(b *Build) error {
	if err := h.makeDir(b); err != nil {
		return err
	}
	return h.write(b)
}

// Begin records that b began, and gives it its id.
func (h *History) Begin(b *Build) (*Recorder, error) {
	b.State = Running
	if err := h.makeDir(b); err != nil {
		return nil, err
	}
	lock, err := lockfile.Try(h.path(b.ID, "lock"), lockfile.Exclusive)
	if err != nil {
		return nil, fmt.Errorf("record build: %w", err)
	}
	if err := h.write(b); err != nil {
		_ = lock.Remove()
		return nil, err
	}
	return &Recorder{
		h: h, id: b.ID, lock: lock,
		numbers: map[digest.Digest]int{}, logs: map[digest.Digest]*stepLog{},
		cpu: map[digest.Digest]time.Duration{},
	}, nil
}

// makeDir gives b an id and makes its directory.
func (h *History) makeDir(b *Build) error {
	if b.ID == "" {
		b.ID = newID(b.Started)
	}
	err := os.Mkdir(h.path(b.ID), 0o700)
	if os.IsNotExist(err) {
		if err = os.MkdirAll(h.dir, 0o700); err == nil {
			err = os.Mkdir(h.path(b.ID), 0o700)
		}
	}
	if err != nil {
		return fmt.Errorf("record build: %w", err)
	}
	return nil
}

func (h *History) write(b *Build) error {
	raw, err := json.Marshal(b)
	if err == nil {
		err = atomicfile.Write(h.path(b.ID, "meta.json"), raw, atomicfile.Options{Perm: 0o600})
	}
	if err != nil {
		return fmt.Errorf("record build %s: %w", b.ID, err)
	}
	return nil
}

// Status takes what the progress says: it numbers steps as they start and
// writes down what they print, as it comes.
func (r *Recorder) Status(s *client.SolveStatus) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range s.Vertexes {
		if v.Started != nil && v.Digest != digest.FromString(v.Name) { // those are no steps of the graph
			r.number(v.Digest)
		}
	}
	for _, l := range s.Logs {
		r.log(l.Vertex, l.Data)
	}
}

func (r *Recorder) number(d digest.Digest) int {
	n, ok := r.numbers[d]
	if !ok {
		n = len(r.numbers) + 1
		r.numbers[d] = n
	}
	return n
}

func (r *Recorder) log(d digest.Digest, data []byte) {
	l, ok := r.logs[d]
	if !ok {
		l = &stepLog{}
		l.w = redact.NewWriter(l, r.Mask)
		l.f, _ = os.OpenFile(r.h.path(r.id, strconv.Itoa(r.number(d))+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		r.logs[d] = l
	}
	if l.f == nil {
		return
	}
	_, _ = l.w.Write(data)
}

// Number is the number of a step, 0 for one that did not begin.
func (r *Recorder) Number(d digest.Digest) int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.numbers[d]
}

// CPU adds to the processor time that the processes of step d took.
func (r *Recorder) CPU(d digest.Digest, t time.Duration) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cpu[d] += t
}

// Step records that a step ended, with what was heard about it before.
func (r *Recorder) Step(s *Step) {
	if r == nil {
		return
	}
	d := digest.Digest(s.Vertex)
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Number, s.CPU = r.number(d), r.cpu[d]
	if l := r.logs[d]; l != nil {
		l.close()
		s.Logged = l.size
	}
	if r.steps == nil {
		f, err := os.OpenFile(r.h.path(r.id, "steps.jsonl"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return
		}
		r.steps = f
	}
	if raw, err := json.Marshal(s); err == nil {
		_, _ = r.steps.Write(append(raw, '\n'))
	}
}

// Keep keeps what is needed to look into the step that failed.
func (r *Recorder) Keep(raw []byte) error {
	if r == nil {
		return nil
	}
	return atomicfile.Write(r.h.path(r.id, "kept.json"), raw, atomicfile.Options{Perm: 0o600})
}

// End records how the build ended.
func (r *Recorder) End(b *Build) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.logs {
		l.close()
	}
	if r.steps != nil {
		r.steps.Close()
	}
	err := r.h.write(b)
	if lerr := r.lock.Remove(); err == nil {
		err = lerr
	}
	return err
}
