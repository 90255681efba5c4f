package build

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/pb"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/build/history"
	"github.com/mica-build/mica/build/op"
	"github.com/mica-build/mica/build/solve"
	"github.com/mica-build/mica/internal/redact"
	"github.com/mica-build/mica/store"
)

// A journal writes one build into the history. That it cannot is never a
// failure of the build.
type journal struct {
	s       *session
	history *history.History
	build   *history.Build
	reads   *history.Reads
	rec     *history.Recorder // nil before begin, and for what is not recorded

	mask   redact.Mask // values that must not be written down
	mu     sync.Mutex
	layers []store.LayerID // that steps made
	failed digest.Digest   // the step whose command failed
	kept   bool
}

func newJournal(s *session) *journal {
	r := s.r
	h := history.Open(s.store)
	return &journal{s: s, history: h, reads: h.NewReads(), build: &history.Build{
		Version: s.b.o.Version, Context: withoutUser(r.Context), Dockerfile: withoutUser(r.Dockerfile), Target: r.Target,
		Platforms: r.Platforms, Args: discreet(r.BuildArgs), Tags: r.Tags, Started: time.Now(),
	}}
}

// locate says which files the build is of, now that they are found.
func (j *journal) locate() {
	s, b := j.s, j.build
	if s.r.Context == "-" {
		return
	}
	if l := s.world.Locals[localContext]; l != nil {
		b.Context = l.Dir
	}
	l := s.world.Locals[localDockerfile]
	if l == nil || s.r.Dockerfile == "-" || isURL(s.r.Dockerfile) || strings.HasPrefix(l.Dir, s.store.Root()) {
		return
	}
	b.Dockerfile = filepath.Join(l.Dir, s.opts["filename"])
}

// begin is called when it is known that there is something to do.
func (j *journal) begin() {
	rec, err := j.history.Begin(j.build)
	if err != nil {
		j.s.b.o.Log.Warn("this build is not recorded", "error", err)
		return
	}
	rec.Mask = &j.mask
	j.rec = rec
}

// same records that everything is as it was in an earlier build.
func (j *journal) same(ctx context.Context, m *memo) {
	b := j.build
	b.State, b.Ended, b.Same, b.ImageID = history.Done, time.Now(), m.Build, m.ImageID.String()
	b.Cached = len(m.Records)
	if err := j.history.Add(b); err != nil {
		j.s.b.o.Log.Warn("this build is not recorded", "error", err)
		return
	}
	_ = j.history.PruneSome(ctx)
}

// end records how the build ended.
func (j *journal) end(ctx context.Context, res *Result, err error) {
	b := j.build
	if b.State == history.Done || j.s.isCall() || j.s.r.DryRun {
		return
	}
	st := j.s.solver.Stats()
	b.Ended, b.State, b.Ran, b.Cached = time.Now(), history.Done, st.Ran, st.Cached
	switch {
	case err == nil:
		b.ImageID = res.ImageID.String()
	case ctx.Err() != nil:
		b.State, b.Error = history.Canceled, context.Cause(ctx).Error()
	default:
		b.State, b.Error = history.Failed, j.mask.String(err.Error())
		b.FailedStep = j.rec.Number(j.failed)
	}
	b.Sizes = j.sizes()
	if j.rec == nil {
		if b.ID == "" {
			_ = j.history.Add(b)
		}
		return
	}
	if err := j.rec.End(b); err != nil {
		j.s.b.o.Log.Warn("this build is not recorded", "error", err)
	}
	_ = j.history.Prune(context.WithoutCancel(ctx))
}

// sizes are those of the layers that steps made, as far as somebody asked.
func (j *journal) sizes() map[string]int64 {
	out := map[string]int64{}
	for _, id := range j.layers {
		if l, err := j.s.store.Layer(context.Background(), id); err == nil && l.Size > 0 {
			out[string(id)] = l.Size
		}
	}
	return out
}

// ---- what the build tells ----

func (j *journal) status(st *client.SolveStatus) { j.rec.Status(st) }

func (j *journal) content(step digest.Digest, input, index int, src string, c *fileop.Content) {
	j.reads.Content(step, input, index, src, c.Digest, c.Entries)
}

func (j *journal) cpu(step digest.Digest, t time.Duration) { j.rec.CPU(step, t) }

func (j *journal) outcome(o *solve.Outcome) {
	step := stepOf(o)
	step.Reads = j.reads.Of(o.Node.Digest)
	j.mu.Lock()
	if id := o.Made(); o.Ran() && id != "" {
		step.Layer = string(id)
		j.layers = append(j.layers, id)
	}
	if step.State == history.StepFailed && j.failed == "" {
		j.failed = o.Node.Digest
	}
	j.mu.Unlock()
	j.rec.Step(step)
}

// failure keeps the root filesystem of a failed command: as a record of the
// cache, so that its layers stay, and in the build's record what mounts it had.
func (j *journal) failure(ctx context.Context, k *op.Kept) {
	if j.rec == nil {
		return
	}
	raw, err := json.Marshal(k)
	if err != nil {
		return
	}
	key := history.KeptKey(j.build.ID)
	err = j.s.store.PutRecord(ctx, &store.Record{
		Key: key, ResultKey: key, Outputs: k.Layers(), Preimage: []byte(`"kept"`), Type: "regular",
		Description: "failed step of build " + string(j.build.ID), Created: time.Now(),
	})
	if err == nil {
		err = j.rec.Keep(raw)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kept = err == nil
}

// stepOf describes an outcome for the history.
func stepOf(o *solve.Outcome) *history.Step {
	n := o.Node
	s := &history.Step{
		Vertex: n.Digest.String(), Name: n.Name(), Kind: n.Kind(), State: stateOf(o),
		Key: string(o.Key), Definition: o.Definition, Content: o.Content,
		NoCache: n.IgnoreCache() && o.Key != "", Unstable: !o.Stable,
		Started: o.Started, Wall: o.Ended.Sub(o.Started),
	}
	for _, e := range n.Inputs {
		in := ""
		if e.Node != nil {
			in = e.Node.Digest.String()
		}
		s.Inputs = append(s.Inputs, in)
	}
	for _, v := range o.Values {
		s.Results = append(s.Results, string(v.Key))
		if v.Local != nil {
			s.Exclude = v.Local.Exclude
		}
	}
	if src := n.Op.GetSource(); src != nil {
		s.Source = withoutUser(src.Identifier)
	}
	if o.Err != nil {
		s.Error = o.Err.Error()
	}
	s.File, s.Line, s.LastLine, s.Text = linesOf(n.Source)
	return s
}

func stateOf(o *solve.Outcome) history.StepState {
	switch {
	case errors.Is(o.Err, context.Canceled):
		return history.StepCanceled
	case o.Err != nil:
		return history.StepFailed
	case o.Key == "":
		return history.StepSource
	case o.Planned:
		return history.StepWould
	case o.Cached:
		return history.StepCached
	}
	return history.StepRan
}

// linesOf are the lines of the Dockerfile that made a node.
func linesOf(src *solve.SourceRef) (file string, first, last int, text string) {
	if src == nil || src.Info == nil || len(src.Ranges) == 0 {
		return "", 0, 0, ""
	}
	first, last = span(src.Ranges)
	lines := strings.Split(string(src.Info.Data), "\n")
	if first < 1 || last > len(lines) {
		return src.Info.Filename, first, last, ""
	}
	return src.Info.Filename, first, last, strings.Join(lines[first-1:last], "\n")
}

// span is the first and the last line of ranges.
func span(ranges []*pb.Range) (first, last int) {
	for _, r := range ranges {
		from, to := int(r.GetStart().GetLine()), int(r.GetEnd().GetLine())
		if first == 0 || from < first {
			first = from
		}
		last = max(last, from, to)
	}
	return first, last
}

// ---- failed steps ----

// tailLines is how much of a failed step's output its error has.
const tailLines = 20

// A StepError is an error of one step of a recorded build.
type StepError struct {
	Build  history.ID
	Number int    // of the step
	Name   string // of the step
	// Tail are the last lines of its output; the history has all of it.
	Tail []string
	// Kept says that its root filesystem can be looked into.
	Kept bool
	Err  error
}

func (e *StepError) Error() string { return e.Err.Error() }
func (e *StepError) Unwrap() error { return e.Err }

// explain adds to err what the history knows of the step that failed.
func (j *journal) explain(err error) error {
	j.mu.Lock()
	failed, kept := j.failed, j.kept
	j.mu.Unlock()
	n := j.rec.Number(failed)
	if n == 0 {
		return err
	}
	e := &StepError{Build: j.build.ID, Number: n, Kept: kept, Err: err}
	if steps, serr := j.history.Steps(j.build); serr == nil {
		if i := slices.IndexFunc(steps, func(s *history.Step) bool { return s.Number == n }); i >= 0 {
			e.Name = steps[i].Name
		}
	}
	if log, lerr := j.history.Log(j.build, n); lerr == nil {
		defer log.Close()
		e.Tail = tail(log, tailLines)
	}
	return e
}

// tail reads the last n lines, of those that are not endless.
func tail(r io.ReadSeeker, n int) []string {
	const most = 64 << 10
	cut := false
	if end, err := r.Seek(0, io.SeekEnd); err == nil {
		cut = end > most
		_, _ = r.Seek(max(0, end-most), io.SeekStart)
	}
	raw, _ := io.ReadAll(io.LimitReader(r, most))
	lines := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	if cut && len(lines) > 1 {
		lines = lines[1:]
	}
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	return lines[max(0, len(lines)-n):]
}
