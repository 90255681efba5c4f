package engine_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/engine"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/internal/testenv"
)

var amd64 = image.Platform{OS: "linux", Architecture: "amd64"}

func open(t *testing.T) *engine.Engine {
	t.Helper()
	testenv.Root(t)
	e, err := engine.Open(filepath.Join(t.TempDir(), "store"), engine.Options{Platform: amd64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// tarOf is a tar of one file.
func tarOf(t *testing.T, name, data string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// add imports an image with one file and names it.
func add(t *testing.T, e *engine.Engine, name, data string, o engine.ImportOptions) digest.Digest {
	t.Helper()
	o.Name = name
	if o.Created.IsZero() {
		o.Created = time.Unix(1577836800, 0)
	}
	id, err := e.Import(t.Context(), tarOf(t, "file", data), o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func names(list []engine.Image) []string {
	out := []string{}
	for _, m := range list {
		if m.Dangling() {
			out = append(out, "<none>")
		}
		for _, n := range append(m.Names, m.Digests...) {
			out = append(out, engine.Familiar(n))
		}
	}
	return out
}

func all(t *testing.T, e *engine.Engine) []string {
	t.Helper()
	list, err := e.Images(t.Context(), engine.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	return names(list)
}

func TestImageLookup(t *testing.T) {
	e := open(t)
	id := add(t, e, "team/app:1", "a", engine.ImportOptions{})
	m, err := e.Image(t.Context(), "team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	manifest := m.Manifest.Digest
	if err := e.Store().Tag(t.Context(), "example.com/x@"+manifest.String(), m.Targets[0]); err != nil {
		t.Fatal(err)
	}
	// A name that looks like the beginning of an ID is a name first.
	hex := id.Encoded()[:4]
	other := add(t, e, hex, "b", engine.ImportOptions{})

	for _, tt := range []struct {
		name string
		want digest.Digest
		err  error
	}{
		{name: "team/app:1", want: id},
		{name: "docker.io/team/app:1", want: id},
		{name: "team/app", err: errs.ErrNotFound},
		{name: "team/app:2", err: errs.ErrNotFound},
		{name: "team/app@" + manifest.String(), want: id},
		{name: "team/app:ignored@" + manifest.String(), want: id},
		{name: "example.com/x@" + manifest.String(), want: id},
		{name: "example.com/y@" + manifest.String(), err: errs.ErrNotFound},
		{name: id.String(), want: id},
		{name: id.Encoded(), want: id},
		{name: id.Encoded()[:12], want: id},
		{name: "sha256:" + id.Encoded()[:12], want: id},
		{name: manifest.String(), want: id},
		{name: manifest.Encoded()[:12], want: id},
		{name: hex, want: other},
		{name: "zzz", err: errs.ErrNotFound},
		{name: "", err: errs.ErrInvalid},
		{name: "A b", err: errs.ErrInvalid},
		{name: "scratch", err: errs.ErrInvalid},
	} {
		got, err := e.Image(t.Context(), tt.name)
		if !errors.Is(err, tt.err) || got.ID != tt.want {
			t.Errorf("Image(%q) = %s, %v; want %s, %v", tt.name, got.ID, err, tt.want, tt.err)
		}
	}
}

func TestAmbiguousID(t *testing.T) {
	e := open(t)
	seen := map[string]int{}
	for i := range 17 { // two of them begin with the same digit
		seen[add(t, e, "", strconv.Itoa(i), engine.ImportOptions{}).Encoded()[:1]]++
	}
	for digit, n := range seen {
		_, err := e.Image(t.Context(), digit)
		if ambiguous := errors.Is(err, errs.ErrInvalid); ambiguous != (n > 1) {
			t.Errorf("%d images begin with %s: %v", n, digit, err)
		}
	}
}

func TestRemove(t *testing.T) {
	untag := func(s string) engine.Removed { return engine.Removed{Untagged: s} }
	type setup func(t *testing.T, e *engine.Engine, id digest.Digest)
	tags := func(list ...string) setup {
		return func(t *testing.T, e *engine.Engine, id digest.Digest) {
			t.Helper()
			for _, n := range list {
				if err := e.Tag(t.Context(), id.String(), n); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	digests := func(repo string) setup {
		return func(t *testing.T, e *engine.Engine, id digest.Digest) {
			t.Helper()
			m, err := e.Image(t.Context(), id.String())
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Store().Tag(t.Context(), repo+"@"+m.Targets[0].Digest.String(), m.Targets[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		setup  []setup
		remove string // "" is the ID
		force  bool
		want   []engine.Removed // without the last Deleted
		gone   bool
		err    error
	}{
		{name: "last tag", remove: "app:1", want: []engine.Removed{untag("app:1")}, gone: true},
		{name: "one of two", setup: []setup{tags("app:2")}, remove: "app:1", want: []engine.Removed{untag("app:1")}},
		{name: "by id", want: []engine.Removed{untag("app:1")}, gone: true},
		{name: "by id with two tags", setup: []setup{tags("app:2")}, err: errs.ErrConflict},
		{name: "by id with two tags, force", setup: []setup{tags("app:2")}, force: true, want: []engine.Removed{untag("app:1"), untag("app:2")}, gone: true},
		{name: "by id with two repositories", setup: []setup{tags("b:1")}, err: errs.ErrConflict},
		{name: "last tag takes digests along", setup: []setup{digests("docker.io/library/app")}, remove: "app:1", want: []engine.Removed{untag("app:1"), untag("app@D")}, gone: true},
		{name: "not those of others", setup: []setup{digests("docker.io/library/b")}, remove: "app:1", want: []engine.Removed{untag("app:1")}},
		{name: "not while there is a tag", setup: []setup{digests("docker.io/library/app"), tags("app:2")}, remove: "app:1", want: []engine.Removed{untag("app:1")}},
		{name: "by id with its own digest", setup: []setup{digests("docker.io/library/app")}, want: []engine.Removed{untag("app:1"), untag("app@D")}, gone: true},
		{name: "by id with another's digest", setup: []setup{digests("docker.io/library/b")}, err: errs.ErrConflict},
		{name: "missing", remove: "nope", err: errs.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := open(t)
			id := add(t, e, "app:1", "a", engine.ImportOptions{})
			for _, s := range tt.setup {
				s(t, e, id)
			}
			m, err := e.Image(t.Context(), id.String())
			if err != nil {
				t.Fatal(err)
			}
			name := tt.remove
			if name == "" {
				name = id.String()
			}
			before := all(t, e)
			got, err := e.Remove(t.Context(), name, tt.force)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if tt.err != nil {
				if d := cmp.Diff(before, all(t, e)); d != "" {
					t.Errorf("it failed and yet changed: %s", d)
				}
				return
			}
			if tt.gone {
				tt.want = append(tt.want, engine.Removed{Deleted: id.String()})
			}
			for i := range got {
				got[i].Untagged = strings.ReplaceAll(got[i].Untagged, m.Targets[0].Digest.String(), "D")
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			if _, err := e.Image(t.Context(), id.String()); tt.gone != errors.Is(err, errs.ErrNotFound) {
				t.Errorf("gone %v, but: %v", tt.gone, err)
			}
		})
	}
}

func TestFilter(t *testing.T) {
	e := open(t)
	day := func(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
	add(t, e, "old", "1", engine.ImportOptions{Created: day(1), Changes: []string{"LABEL a=1 b=2"}})
	add(t, e, "host.example:5000/mid:v1", "2", engine.ImportOptions{Created: day(2), Changes: []string{"LABEL a=2"}})
	add(t, e, "new", "3", engine.ImportOptions{Created: day(3)})
	add(t, e, "", "4", engine.ImportOptions{Created: day(4)})
	yes, no := true, false
	for _, tt := range []struct {
		name   string
		filter engine.Filter
		want   []string
	}{
		{"all", engine.Filter{}, []string{"<none>", "new:latest", "host.example:5000/mid:v1", "old:latest"}},
		{"dangling", engine.Filter{Dangling: &yes}, []string{"<none>"}},
		{"named", engine.Filter{Dangling: &no}, []string{"new:latest", "host.example:5000/mid:v1", "old:latest"}},
		{"label", engine.Filter{Labels: []string{"a"}}, []string{"host.example:5000/mid:v1", "old:latest"}},
		{"label value", engine.Filter{Labels: []string{"a=1"}}, []string{"old:latest"}},
		{"labels", engine.Filter{Labels: []string{"a", "b"}}, []string{"old:latest"}},
		{"not label", engine.Filter{NotLabels: []string{"a=2", "b=3"}}, []string{"<none>", "new:latest", "old:latest"}},
		{"before", engine.Filter{Before: []string{"new"}}, []string{"host.example:5000/mid:v1", "old:latest"}},
		{"before any", engine.Filter{Before: []string{"old", "new"}}, []string{"host.example:5000/mid:v1", "old:latest"}},
		{"since", engine.Filter{Since: []string{"old"}}, []string{"<none>", "new:latest", "host.example:5000/mid:v1"}},
		{"until", engine.Filter{Until: day(2)}, []string{"old:latest"}},
		{"reference", engine.Filter{References: []string{"o*"}}, []string{"old:latest"}},
		{"references", engine.Filter{References: []string{"old", "*/mid:v*"}}, []string{"host.example:5000/mid:v1", "old:latest"}},
		{"full reference", engine.Filter{References: []string{"docker.io/library/new:latest"}}, []string{"new:latest"}},
		{"nothing", engine.Filter{References: []string{"mid"}}, []string{}},
		{"two that exclude each other", engine.Filter{Dangling: &yes, Labels: []string{"a"}}, []string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := e.Images(t.Context(), tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, names(got)); d != "" {
				t.Error(d)
			}
		})
	}
}

// write stores v as JSON.
func write(t *testing.T, e *engine.Engine, mediaType string, v any) image.Descriptor {
	t.Helper()
	raw, ok := v.([]byte)
	if !ok {
		var err error
		if raw, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
	}
	d, err := e.Store().WriteBlob(t.Context(), mediaType, raw)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestIncomplete lists and removes images of which not all is in the store.
func TestIncomplete(t *testing.T) {
	ghost := image.NewDescriptor(image.MediaTypeManifest, []byte("not here"))
	ghost.Platform = &image.Platform{OS: "linux", Architecture: "amd64"}
	for _, tt := range []struct {
		name     string
		target   func(t *testing.T, e *engine.Engine) image.Descriptor
		arch     string
		complete bool
	}{
		{"index with another platform", func(t *testing.T, e *engine.Engine) image.Descriptor {
			add(t, e, "arm", "x", engine.ImportOptions{Platform: image.Platform{OS: "linux", Architecture: "arm64"}})
			m, err := e.Image(t.Context(), "arm")
			if err != nil {
				t.Fatal(err)
			}
			arm := m.Targets[0]
			arm.Platform = &image.Platform{OS: "linux", Architecture: "arm64"}
			return write(t, e, image.MediaTypeIndex, image.Index{MediaType: image.MediaTypeIndex, Manifests: []image.Descriptor{ghost, arm}})
		}, "arm64", true},
		{"index of nothing", func(t *testing.T, e *engine.Engine) image.Descriptor {
			return write(t, e, image.MediaTypeIndex, image.Index{MediaType: image.MediaTypeIndex, Manifests: []image.Descriptor{ghost}})
		}, "", false},
		{"broken manifest", func(t *testing.T, e *engine.Engine) image.Descriptor {
			return write(t, e, image.MediaTypeManifest, []byte("{"))
		}, "", false},
		{"broken config", func(t *testing.T, e *engine.Engine) image.Descriptor {
			c := write(t, e, image.MediaTypeConfig, []byte(`{"rootfs":{"diff_ids":["../../etc"]}}`))
			return write(t, e, image.MediaTypeManifest, image.Manifest{Config: c})
		}, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := open(t)
			if err := e.Store().Tag(t.Context(), "docker.io/library/x:latest", tt.target(t, e)); err != nil {
				t.Fatal(err)
			}
			m, err := e.Image(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			if m.Complete() != tt.complete || m.Config.Architecture != tt.arch {
				t.Errorf("complete %v, architecture %q; want %v, %q", m.Complete(), m.Config.Architecture, tt.complete, tt.arch)
			}
			if _, err := e.Inspect(t.Context(), "x", &amd64); !errors.Is(err, errs.ErrNotFound) {
				t.Errorf("inspect for amd64: %v", err)
			}
			if _, err := e.Remove(t.Context(), "x", false); err != nil {
				t.Errorf("remove: %v", err)
			}
		})
	}
}

func TestPruneDryRun(t *testing.T) {
	e := open(t)
	add(t, e, "", strings.Repeat("a", 1<<20), engine.ImportOptions{})
	add(t, e, "keep", "b", engine.ImportOptions{})
	// Another process does it: this one still holds what it made.
	e2, err := engine.Open(e.Store().Root(), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e2.Close()
	if err := e.Store().Unpin(t.Context()); err != nil {
		t.Fatal(err)
	}
	would, wouldFree, err := e2.Prune(t.Context(), engine.PruneOptions{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(all(t, e)); n != 2 {
		t.Fatalf("a dry run left %d images of 2", n)
	}
	did, freed, err := e2.Prune(t.Context(), engine.PruneOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(would, did); d != "" {
		t.Error(d)
	}
	if wouldFree < 1<<20 || freed != wouldFree {
		t.Errorf("would free %d, freed %d; want more than a MiB, and the same", wouldFree, freed)
	}
	if d := cmp.Diff([]string{"keep:latest"}, all(t, e)); d != "" {
		t.Error(d)
	}
}

// TestSaveLoad carries images from one store to another.
func TestSaveLoad(t *testing.T) {
	from, to := open(t), open(t)
	a := add(t, from, "a:1", "a", engine.ImportOptions{Changes: []string{"CMD a"}})
	b := add(t, from, "b:1", "b", engine.ImportOptions{})
	var tarball bytes.Buffer
	if err := from.Save(t.Context(), &tarball, []string{"a:1", b.String()}, engine.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := to.Load(t.Context(), &tarball, engine.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := []engine.Loaded{{Name: "docker.io/library/a:1", ID: a}, {ID: b}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	one, err := from.Inspect(t.Context(), "a:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	two, err := to.Inspect(t.Context(), "a:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []*engine.Inspection{&one, &two} { // what belongs to the store
		in.GraphDriver, in.Metadata = engine.GraphDriver{}, engine.Metadata{}
	}
	if d := cmp.Diff(one, two); d != "" {
		t.Error(d)
	}
}

func TestLoadCanceled(t *testing.T) {
	e := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Load(ctx, tarOf(t, "manifest.json", "[]"), engine.LoadOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want canceled", err)
	}
	entries, err := os.ReadDir(filepath.Join(e.Store().Root(), "blobs"))
	if err == nil && len(entries) > 0 {
		t.Errorf("blobs were left: %v", entries)
	}
}
