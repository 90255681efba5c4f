package build

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mica-build/mica/build/history"
	"github.com/mica-build/mica/store"
)

// whyDockerfile has every sort of input.
const whyDockerfile = base + `
FROM base AS build
ARG A=1
ENV E=1
COPY d /d
RUN echo one $A
RUN --mount=type=bind,source=m,target=/m cat /m/x /d/* >/out || true
FROM base
COPY --from=build /out /out
COPY t*.txt /t/
RUN echo last
`

// A whyCase is one mutation and what is to be said of the steps that run then:
// words of the step, and words of the line.
type whyCase struct {
	name   string
	mutate func(b *bench, r *Request)
	want   [][2]string
}

func (b *bench) edit(from, to string) {
	b.Helper()
	raw, err := os.ReadFile(filepath.Join(b.dir, "Dockerfile"))
	if err != nil {
		b.Fatal(err)
	}
	text := strings.Replace(string(raw), from, to, 1)
	if text == string(raw) {
		b.Fatalf("the Dockerfile has no %q", from)
	}
	b.write("Dockerfile", text)
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

var whyCases = []whyCase{
	{"content of a file", func(b *bench, _ *Request) { b.write("d/a", "other") }, [][2]string{
		{"COPY d /d", "file d/a: content changed"},
		{"RUN echo one", "it stands on [build 1/3] COPY d /d: file d/a: content changed"},
		{"RUN --mount", "it began with [build 1/3] COPY d /d: file d/a: content changed"},
		{"COPY --from", "file /out: content changed, made by [build 3/3] RUN --mount"},
		{"COPY t*.txt", "file d/a: content changed"},
		{"RUN echo last", "file d/a: content changed"},
	}},
	{"file added", func(b *bench, _ *Request) { b.write("d/new", "") }, [][2]string{{"COPY d /d", "file d/new: added"}}},
	{"file removed", func(b *bench, _ *Request) { b.must(os.Remove(filepath.Join(b.dir, "d/b"))) }, [][2]string{{"COPY d /d", "file d/b: removed"}}},
	{"file renamed", func(b *bench, _ *Request) {
		b.must(os.Rename(filepath.Join(b.dir, "d/b"), filepath.Join(b.dir, "d/c")))
	}, [][2]string{{"COPY d /d", "file d/b: removed, and 1 more file"}}},
	{"mode", func(b *bench, _ *Request) { b.must(os.Chmod(filepath.Join(b.dir, "d/a"), 0o755)) }, [][2]string{
		{"COPY d /d", "file d/a: mode changed from 0644 to 0755"},
	}},
	{"type", func(b *bench, _ *Request) {
		b.must(os.Remove(filepath.Join(b.dir, "d/a")))
		b.must(os.Symlink("b", filepath.Join(b.dir, "d/a")))
	}, [][2]string{{"COPY d /d", "file d/a: was a file and is a symbolic link"}}},
	{"link", func(b *bench, _ *Request) {
		b.must(os.Remove(filepath.Join(b.dir, "d/l")))
		b.must(os.Symlink("a", filepath.Join(b.dir, "d/l")))
	}, [][2]string{{"COPY d /d", "file d/l: link changed from b to a"}}},
	{"ignored file", func(b *bench, _ *Request) { b.write(".dockerignore", "d/b\n") }, [][2]string{{"COPY d /d", "file d/b: removed"}}},
	{"mounted file", func(b *bench, _ *Request) { b.write("m/x", "other") }, [][2]string{{"RUN --mount", "file m/x: content changed"}}},
	{"one more match", func(b *bench, _ *Request) { b.write("t2.txt", "") }, [][2]string{
		{"COPY t*.txt", "file t2.txt: added"},
		{"RUN echo last", "file t2.txt: added"},
	}},
	{"build argument", func(_ *bench, r *Request) { r.BuildArgs["A"] = "2" }, [][2]string{
		{"RUN echo one", `build argument A changed from "0" to "2"`},
		{"RUN --mount", `build argument A changed from "0" to "2"`},
	}},
	{"argument's default", func(b *bench, _ *Request) { b.edit("ENV E=1", "ENV E=2") }, [][2]string{
		{"RUN echo one", `variable E changed from "1" to "2"`},
		{"RUN --mount", `variable E changed from "1" to "2"`},
	}},
	{"secret argument", func(b *bench, _ *Request) { b.edit("ENV E=1", "ENV E=1 MY_TOKEN=hunter2") }, [][2]string{
		{"RUN echo one", "variable MY_TOKEN changed"},
	}},
	{"argument in a name", func(b *bench, r *Request) {
		r.BuildArgs["B"] = "a"
		b.edit("COPY d /d", "ARG B\nCOPY d/$B /d/a")
		b.build(*r)
		r.BuildArgs["B"] = "b"
	}, [][2]string{{"COPY d/b", `build argument B changed from "a" to "b"`}}},
	{"instruction", func(b *bench, _ *Request) { b.edit("RUN echo one", "RUN echo two") }, [][2]string{
		{"RUN echo two", `the instruction changed from "RUN echo one $A" to "RUN echo two $A"`},
		{"RUN --mount", "it stands on [build 2/3] RUN echo two"},
	}},
	{"COPY instruction", func(b *bench, _ *Request) { b.edit("COPY d /d", "COPY --chmod=700 d /d") }, [][2]string{
		{"COPY --chmod", `the instruction changed from "COPY d /d" to "COPY --chmod=700 d /d"`},
	}},
	{"instruction added", func(b *bench, _ *Request) { b.edit("RUN echo one", "RUN echo new\nRUN echo one") }, [][2]string{
		{"RUN echo new", "the instruction is new"},
		{"RUN echo one", "RUN echo new: the instruction is new"},
	}},
	{"instruction removed", func(b *bench, _ *Request) { b.edit("RUN echo one $A\n", "") }, [][2]string{
		{"RUN --mount", `the step before it, "RUN echo one`},
	}},
	{"comment", func(b *bench, _ *Request) { b.edit("RUN echo one", "# a comment\nRUN echo one") }, nil},
	{"user", func(b *bench, _ *Request) { b.edit("RUN echo one $A", "USER 7\nRUN echo one $A\nUSER 0") }, [][2]string{
		{"RUN echo one", "the user"},
	}},
	{"directory", func(b *bench, _ *Request) { b.edit("RUN echo one", "WORKDIR /new\nRUN echo one") }, [][2]string{
		{"WORKDIR /new", "the instruction is new"},
		{"RUN echo one", "the working directory changed from / to /new"},
	}},
	{"network", func(b *bench, _ *Request) { b.edit("RUN echo one", "RUN --network=none echo one") }, [][2]string{
		{"echo one", "the network was added: NONE"},
	}},
	{"mount", func(b *bench, _ *Request) { b.edit("RUN echo one", "RUN --mount=type=tmpfs,target=/x echo one") }, [][2]string{
		{"echo one", "the mount at /x was added"},
	}},
	{"no cache", func(_ *bench, r *Request) { r.NoCache = true }, [][2]string{
		{"COPY busybox", "--no-cache"}, {"RUN echo last", "--no-cache"},
	}},
	{"no cache for a stage", func(_ *bench, r *Request) { r.NoCacheFilter = []string{"build"} }, [][2]string{
		{"COPY d /d", "--no-cache"}, {"RUN echo one", "--no-cache"},
	}},
	{"pruned", func(b *bench, _ *Request) {
		_, err := b.store.Prune(b.Context(), store.PruneOptions{Records: func(r *store.Record) bool {
			return strings.Contains(r.Description, "RUN echo one")
		}})
		b.must(err)
	}, [][2]string{{"RUN echo one", "its result is not in the cache any more (pruned)"}}},
	{"failed before", func(b *bench, r *Request) {
		b.edit("RUN echo one", "RUN --mount=type=secret,id=s test -e /run/secrets/s; echo one")
		b.edit("echo one $A", "echo one $A; test -e /run/secrets/s")
		if _, err := b.try(*r); err == nil {
			b.Fatal("the step did not fail")
		}
		b.write("s", "x")
		r.Secrets = []Secret{{ID: "s", File: filepath.Join(b.dir, "s")}}
	}, [][2]string{{"RUN --mount=type=secret", "it failed in build "}}},
	{"another target", func(_ *bench, r *Request) { r.Target, r.NoCache = "base", true }, [][2]string{{"COPY busybox", "--no-cache"}}},
}

// Each mutation is named by its cause.
func TestWhy(t *testing.T) {
	shared := newBench(t, nil)
	busybox, err := os.ReadFile(filepath.Join(shared.dir, "busybox"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range whyCases {
		t.Run(tt.name, func(t *testing.T) {
			b := &bench{TB: t, store: shared.store, dir: t.TempDir()}
			b.write("busybox", string(busybox))
			b.must(os.Chmod(filepath.Join(b.dir, "busybox"), 0o755))
			for name, data := range map[string]string{
				// The name of the case keeps what one case made from being found by another.
				"Dockerfile": whyDockerfile, "d/a": "a", "d/b": "b", "d/salt": tt.name, "m/x": "x", "t1.txt": tt.name,
			} {
				b.write(name, data)
			}
			b.must(os.Symlink("b", filepath.Join(b.dir, "d/l")))
			r := Request{BuildArgs: map[string]string{"A": "0"}}
			b.build(r)
			tt.mutate(b, &r)
			planned := b.plan(r)
			b.build(r)
			b.explains("build", b.why(), tt.want)
			b.explains("plan", planned, tt.want[:min(1, len(tt.want))])
		})
	}
}

// plan says why the steps of r would run.
func (b *bench) plan(r Request) []history.Explanation {
	b.Helper()
	r.DryRun = true
	var out []history.Explanation
	for _, s := range b.build(r).Plan.Steps {
		if s.Why != nil {
			out = append(out, *s.Why)
		}
	}
	return out
}

// why says why the steps of the latest build ran.
func (b *bench) why() []history.Explanation {
	b.Helper()
	h := history.Open(b.store)
	last, err := h.Build("")
	b.must(err)
	steps, err := h.Steps(last)
	b.must(err)
	out, err := h.Why(last, steps)
	b.must(err)
	return out
}

func (b *bench) explains(what string, got []history.Explanation, want [][2]string) {
	b.Helper()
	if len(want) == 0 && len(got) > 0 {
		b.Errorf("%s: %s ran: %s", what, got[0].Step.Name, got[0].Cause)
	}
	for _, w := range want {
		found := false
		for _, x := range got {
			if strings.Contains(x.Step.Name, w[0]) {
				found = true
				if s := x.Cause.String(); !strings.Contains(s, w[1]) {
					b.Errorf("%s: %s: %q, want %q", what, x.Step.Name, s, w[1])
				}
				break
			}
		}
		if !found {
			b.Errorf("%s: %s did not run", what, w[0])
		}
	}
	for _, x := range got {
		if strings.Contains(x.Cause.String(), "hunter2") {
			b.Errorf("%s tells a secret: %s", what, x.Cause)
		}
	}
}

// A base image of the same name that has other layers is named with both digests.
func TestWhyBase(t *testing.T) {
	b := newBench(t, map[string]string{
		"f": "1", "base": "FROM scratch\nCOPY busybox /bin/sh\nCOPY f /f\n", "Dockerfile": "FROM why-base\nRUN [\"/bin/sh\", \"-c\", \"exit 0\"]\n",
	})
	b.build(Request{Dockerfile: "base", Tags: []string{"why-base"}})
	b.build(Request{})
	b.write("f", "2")
	b.build(Request{Dockerfile: "base", Tags: []string{"why-base"}})
	b.build(Request{})
	b.explains("build", b.why(), [][2]string{{"RUN", "base image docker.io/library/why-base changed from sha256:"}})
}

func TestRequireCached(t *testing.T) {
	b := newBench(t, map[string]string{"f": "1", "Dockerfile": "FROM scratch\nCOPY f /\n"})
	_, err := b.try(Request{RequireCached: true})
	var nc *NotCachedError
	if !errors.As(err, &nc) || nc.Plan.Runs() != 1 {
		t.Fatalf("nothing is cached: %v", err)
	}
	b.build(Request{})
	b.build(Request{RequireCached: true})
	b.build(Request{RequireCached: true, Tags: []string{"no-memo"}})
	b.write("f", "2")
	if _, err = b.try(Request{RequireCached: true}); err == nil || !strings.Contains(err.Error(), "file f: content changed") {
		t.Errorf("f changed: %v", err)
	}
	if res := b.build(Request{DryRun: true, Tags: []string{"dry"}}); res.ImageID != "" || res.Plan.Runs() != 1 {
		t.Errorf("dry run: image %q, %d steps would run", res.ImageID, res.Plan.Runs())
	}
	if names, err := b.store.Names(t.Context()); err != nil || len(names) != 1 {
		t.Errorf("a dry run tagged: %v, %v", names, err)
	}
}
