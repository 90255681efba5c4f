package build

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mica-build/mica/store"
)

// What a build was made of is changed part by part: the result has to follow,
// and to come again when nothing changed.
func TestMemo(t *testing.T) {
	b := newBench(t, map[string]string{
		"d/x": "x", "f": "f", "m/x": "1", "other": "o",
		"Dockerfile": base + `ARG A=1
COPY d /d
COPY f* l* /
RUN --mount=type=bind,source=m,target=/m ls -lR /m >/ls
RUN cat /proc/sys/kernel/random/uuid >/run
`,
	})
	path := func(name string) string { return filepath.Join(b.dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r := Request{Tags: []string{"memo"}}
	steps := []struct {
		name    string
		change  func()
		changed bool
	}{
		{"first", func() {}, true},
		{"nothing", func() {}, false},
		{"a file nobody reads", func() { b.write("other", "p") }, false},
		{"content", func() { b.write("f", "g") }, true},
		{"mode", func() { must(os.Chmod(path("f"), 0o755)) }, true},
		{"a link", func() { must(os.Symlink("f", path("l"))) }, true},
		{"its target", func() { must(os.Remove(path("l"))); must(os.Symlink("other", path("l"))) }, true},
		{"one more match", func() { b.write("f2", "") }, true},
		{"an empty directory", func() { must(os.Mkdir(path("d/empty"), 0o755)) }, true},
		{"what a mount shows", func() { b.write("m/x", "2") }, true},
		{".dockerignore", func() { b.write(".dockerignore", "f2\n") }, true},
		{"a comment in it", func() { b.write(".dockerignore", "# two\nf2\n") }, false},
		{"the Dockerfile's own", func() { b.write("Dockerfile.dockerignore", "f*\n!f\n") }, false},
		{"which excludes more", func() { b.write("Dockerfile.dockerignore", "f*\n!f\nd/empty\n") }, true},
		{"an argument", func() { r.BuildArgs = map[string]string{"A": "2"} }, true},
		{"a label", func() { r.Labels = map[string]string{"a": "b"} }, true},
		{"--no-cache", func() { r.NoCache = true }, true},
		{"after --no-cache", func() { r.NoCache = false }, false},
		{"the name is gone", func() { must(b.store.Untag(t.Context(), "docker.io/library/memo:latest", true)) }, false},
		{"a pruned cache", func() {
			if _, err := b.store.Prune(t.Context(), store.PruneOptions{Records: func(*store.Record) bool { return true }}); err != nil {
				t.Fatal(err)
			}
		}, true},
	}
	var before string
	for _, s := range steps {
		s.change()
		id := b.build(r).ImageID.String()
		if changed := id != before; changed != s.changed {
			t.Errorf("%s: changed %v, want %v", s.name, changed, s.changed)
		}
		if !r.NoCache {
			if again := b.build(r).ImageID.String(); again != id {
				t.Errorf("%s: another image the second time", s.name)
			}
		}
		if _, err := b.store.Resolve(t.Context(), "docker.io/library/memo:latest"); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		before = id
	}
}

func TestMemoFollowsBase(t *testing.T) {
	b := newBench(t, map[string]string{"f": "f", "Base": "FROM scratch\nCOPY f /\n", "Dockerfile": "FROM thebase\nLABEL a=b\n"})
	makeBase := func() { b.build(Request{Dockerfile: filepath.Join(b.dir, "Base"), Tags: []string{"thebase"}}) }
	makeBase()
	one := b.build(Request{}).ImageID
	if two := b.build(Request{}).ImageID; two != one {
		t.Error("another image with nothing changed")
	}
	b.write("f", "g")
	makeBase()
	if two := b.build(Request{}).ImageID; two == one {
		t.Error("the same image from another base")
	}
}
