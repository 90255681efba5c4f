//go:build linux

package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/build/fileop"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/store"
)

func open(t testing.TB) *History {
	t.Helper()
	st, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return Open(st)
}

func add(t testing.TB, h *History, b *Build) *Build {
	t.Helper()
	if b.State == "" {
		b.State = Done
	}
	if err := h.Add(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// vertex is the progress of one step up to done, with what it printed.
func vertex(name string, printed ...string) (digest.Digest, []*client.SolveStatus) {
	d := digest.FromString("vertex " + name)
	now := time.Now()
	out := []*client.SolveStatus{{Vertexes: []*client.Vertex{{Digest: d, Name: name, Started: &now}}}}
	for _, p := range printed {
		out = append(out, &client.SolveStatus{Logs: []*client.VertexLog{{Vertex: d, Data: []byte(p)}}})
	}
	return d, out
}

func TestRecorder(t *testing.T) {
	h := open(t)
	b := &Build{Context: "/ctx", Started: time.Now()}
	r, err := h.Begin(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.Build(""); err != nil || got.State != Running {
		t.Errorf("while it runs: %v, %v", got, err)
	}
	long := strings.Repeat("0123456789\n", 300_000)
	_, quiet := vertex("quiet")
	loud, statuses := vertex("loud", long, "end\n")
	internal := digest.FromString("[internal] x")
	now := time.Now()
	r.Status(&client.SolveStatus{Vertexes: []*client.Vertex{{Digest: internal, Name: "[internal] x", Started: &now}}})
	for _, s := range append(quiet, statuses...) {
		r.Status(s)
	}
	r.CPU(loud, time.Second)
	r.Step(&Step{Vertex: loud.String(), Name: "loud", State: StepRan, Key: "k", Layer: "l"})
	b.State, b.Ended, b.Ran, b.Sizes = Done, time.Now(), 1, map[string]int64{"l": 7}
	if err := r.End(b); err != nil {
		t.Fatal(err)
	}
	got, err := h.Build(string(b.ID)[5:])
	if err != nil || got.State != Done || got.Ran != 1 {
		t.Fatalf("at the end: %+v, %v", got, err)
	}
	steps, err := h.Steps(got)
	if err != nil || len(steps) != 1 {
		t.Fatalf("steps: %v, %v", steps, err)
	}
	if s := steps[0]; s.Number != 2 || s.CPU != time.Second || s.Bytes != 7 || s.Logged != int64(len(long)+4) || !s.Ran() {
		t.Errorf("step: %+v", s)
	}
	log, err := h.Log(got, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if all, err := io.ReadAll(log); err != nil || string(all) != long+"end\n" {
		t.Errorf("log has %d bytes, want %d, %v", len(all), len(long)+4, err)
	}
	if _, err := h.Log(got, 1); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("log of a step that printed nothing: %v", err)
	}
}

// A build whose process dies is interrupted, and what it did until then is there.
func TestInterrupted(t *testing.T) {
	h := open(t)
	b := &Build{Context: "/ctx", Started: time.Now()}
	r, err := h.Begin(b)
	if err != nil {
		t.Fatal(err)
	}
	d, statuses := vertex("one", "hello\n")
	for _, s := range statuses {
		r.Status(s)
	}
	r.Step(&Step{Vertex: d.String(), Name: "one", State: StepRan, Key: "k"})
	if err := r.lock.Release(); err != nil { // as the kernel does for a killed process
		t.Fatal(err)
	}
	steps := h.path(b.ID, "steps.jsonl")
	f, err := os.OpenFile(steps, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"n":2,"vert`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	got, err := h.Build("")
	if err != nil || got.State != Interrupted {
		t.Fatalf("%+v, %v", got, err)
	}
	if list, err := h.Steps(got); err != nil || len(list) != 1 || list[0].Name != "one" {
		t.Errorf("steps: %v, %v", list, err)
	}
	if logs, err := h.Logs(got); err != nil || len(logs) != 1 {
		t.Errorf("logs: %v, %v", logs, err)
	}
}

func TestBuildByName(t *testing.T) {
	h := open(t)
	if _, err := h.Build(""); !errors.Is(err, errs.ErrNotFound) {
		t.Errorf("empty: %v", err)
	}
	a := add(t, h, &Build{ID: "aaaaaaaa111", Started: time.Now()})
	b := add(t, h, &Build{ID: "aaaaaaab222", Started: time.Now()})
	for _, tt := range []struct {
		name string
		want ID
		err  error
	}{
		{"", b.ID, nil},
		{"aaaaaaaa111", a.ID, nil},
		{"111", a.ID, nil},
		{"aaaaaaab", b.ID, nil},
		{"aaaa", "", errs.ErrInvalid},
		{"zzz", "", errs.ErrNotFound},
		{"../builds", "", errs.ErrNotFound},
	} {
		got, err := h.Build(tt.name)
		if !errors.Is(err, tt.err) || err == nil && got.ID != tt.want {
			t.Errorf("Build(%q) = %v, %v; want %s, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestIDsSort(t *testing.T) {
	at := time.Date(2026, 11, 21, 6, 0, 0, 0, time.UTC)
	for _, step := range []time.Duration{time.Millisecond, time.Hour, 1000 * time.Hour, 200_000 * time.Hour} {
		if a, b := newID(at), newID(at.Add(step)); a >= b || !a.time().Equal(at) {
			t.Errorf("%s, %s later %s; %v", a, step, b, a.time())
		}
	}
}

func TestPrune(t *testing.T) {
	h := open(t)
	now := time.Now()
	old := add(t, h, &Build{Started: now.Add(-KeepFor - time.Hour)})
	needed := add(t, h, &Build{Started: now.Add(-KeepFor - 2*time.Hour)})
	running := &Build{Started: now.Add(-KeepFor - 3*time.Hour)}
	r, err := h.Begin(running)
	if err != nil {
		t.Fatal(err)
	}
	var last []ID
	for i := range Keep + 5 {
		b := &Build{Started: now.Add(time.Duration(i-Keep-10) * time.Second)}
		if i == Keep {
			b.Same = needed.ID
		}
		last = append(last, add(t, h, b).ID)
	}
	reads := h.NewReads()
	entries := func() []fileop.Entry { return []fileop.Entry{{Path: "f"}} }
	reads.Content("step", 0, 0, "/", digest.FromString("a"), entries)
	reads.Content("step", 0, 1, "/", digest.FromString("b"), entries)
	before := now.Add(-2 * KeepFor)
	stale := h.listingPath(reads.Of("step")[0].Listing)
	if err := os.Chtimes(stale, before, before); err != nil {
		t.Fatal(err)
	}
	if err := h.Prune(context.Background()); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[ID]bool{
		old.ID: false, needed.ID: true, running.ID: true, last[4]: false, last[5]: true, last[Keep+4]: true,
	} {
		if _, err := os.Stat(h.path(id)); (err == nil) != want {
			t.Errorf("build %s is there: %v, want %v", id, err == nil, want)
		}
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("a listing that no build needs is still there")
	}
	if _, err := h.listing(reads.Of("step")[1].Listing); err != nil {
		t.Errorf("a listing that is needed: %v", err)
	}
	if err := r.End(running); err != nil {
		t.Error(err)
	}
}

func TestReadsKeepTheFirst(t *testing.T) {
	h := open(t)
	r := h.NewReads()
	asked := 0
	entries := func() []fileop.Entry { asked++; return nil }
	r.Content("s", 1, 0, "/", "sha256:b", entries)
	r.Content("s", 0, 0, "/", "sha256:a", entries)
	r.Content("s", 0, 0, "/", "sha256:changed", entries)
	h.NewReads().Content("s", 0, 0, "/", "sha256:a", entries)
	want := []Read{
		{0, 0, "sha256:a", listingName("sha256:a", "/")},
		{1, 0, "sha256:b", listingName("sha256:b", "/")},
	}
	if diff := cmp.Diff(want, r.Of("s")); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
	if asked != 2 {
		t.Errorf("entries were asked for %d times, want once for each content", asked)
	}
}

func TestMatch(t *testing.T) {
	step := func(name string) *Step {
		_, text, _ := strings.Cut(name, "] ")
		return &Step{Name: name, Vertex: name, Kind: "exec", Text: text}
	}
	steps := func(names ...string) []*Step {
		var out []*Step
		for i, n := range names {
			s := step(n)
			s.Number = i + 1
			out = append(out, s)
		}
		return out
	}
	for _, tt := range []struct {
		name     string
		now, old []*Step
		want     string
	}{
		{"same", steps("[1/2] RUN a", "[2/2] RUN b"), steps("[1/2] RUN a", "[2/2] RUN b"), "RUN a=RUN a RUN b=RUN b"},
		{"inserted", steps("[1/3] RUN a", "[2/3] RUN x", "[3/3] RUN b"), steps("[1/2] RUN a", "[2/2] RUN b"), "RUN a=RUN a RUN b=RUN b"},
		{"removed", steps("[1/1] RUN b"), steps("[1/2] RUN a", "[2/2] RUN b"), "RUN b=RUN b"},
		{"changed", steps("[1/2] RUN a2", "[2/2] RUN b"), steps("[1/2] RUN a", "[2/2] RUN b"), "RUN a2=RUN a RUN b=RUN b"},
		{"other instruction", steps("[1/1] COPY a"), steps("[1/1] RUN a"), ""},
		{"stage renamed", steps("[new 1/2] RUN a", "[new 2/2] RUN b"), steps("[old 1/2] RUN a", "[old 2/2] RUN c"), "RUN a=RUN a RUN b=RUN c"},
		{"stages apart", steps("[x 1/1] RUN a", "[y 1/1] RUN a"), steps("[y 1/1] RUN a"), "RUN a=RUN a"},
		{"by name", steps("load context"), steps("load context"), "load context=load context"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := match(tt.now, tt.old)
			var got []string
			for _, s := range tt.now {
				if o := m.old[s]; o != nil {
					got = append(got, s.instruction()+"="+o.instruction())
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("matched %q, want %q", s, tt.want)
			}
		})
	}
}

// BenchmarkAdd is what a build that has nothing to do pays for being recorded.
func BenchmarkAdd(b *testing.B) {
	h := open(b)
	for b.Loop() {
		if err := h.Add(&Build{State: Done, Context: "/ctx", Started: time.Now(), Same: "aaaaaaaa111"}); err != nil {
			b.Fatal(err)
		}
		if err := h.PruneSome(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkListing is what a context of 10,000 files pays when it is new.
func BenchmarkListing(b *testing.B) {
	h := open(b)
	entries := make([]fileop.Entry, 10_000)
	for i := range entries {
		entries[i] = fileop.Entry{Path: fmt.Sprintf("some/dir/file%05d.go", i), Mode: 0o100644, Size: 1, Digest: digest.FromString("x")}
	}
	i := 0
	for b.Loop() {
		i++
		name := listingName(digest.FromString(fmt.Sprint(i)), "/")
		if err := h.keepListing(name, func() []fileop.Entry { return entries }); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		os.Remove(filepath.Join(h.listingPath(name)))
		b.StartTimer()
	}
}
