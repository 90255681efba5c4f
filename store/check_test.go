//go:build linux

package store

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/image"
)

// check is Check, in the form "kind object: what" of what is wrong and, with an
// = before it, what is left over.
func check(t testing.TB, s *Store, o CheckOptions) []string {
	t.Helper()
	list, err := s.Check(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range list {
		mark := ""
		if p.Leftover {
			mark = "="
		}
		if p.Repaired != o.Repair && p.Repair != "" {
			t.Errorf("%+v: repaired %v, want %v", p, p.Repaired, o.Repair)
		}
		out = append(out, mark+p.Kind+" "+p.What)
	}
	return out
}

// corrupt changes a byte of a file without changing its size or time.
func corrupt(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{b[0] ^ 0x55}, at); err != nil {
		t.Fatal(err)
	}
}

// A damage is something done to a store with one image, "example.com/app:1", in
// one tree, with a record, and a pulled one, "example.com/base:1".
type damaged struct {
	s      *Store
	target image.Descriptor
	tree   Layer
	pulled image.Descriptor // of a compressed layer
	base   Layer
}

func newDamaged(t testing.TB) damaged {
	t.Helper()
	maker := open(t, "")
	var d damaged
	d.target, d.tree = buildImage(t, maker, "x")
	put(t, maker, "aaaa", d.tree.ID)
	d.pulled, d.base = pulledImage(t, maker)
	for ref, target := range map[string]image.Descriptor{
		"example.com/app:1": d.target, "example.com/base:1": d.pulled,
		"example.com/base@" + d.pulled.Digest.String(): d.pulled,
	} {
		if err := maker.Tag(t.Context(), ref, target); err != nil {
			t.Fatal(err)
		}
	}
	d.s = reopen(t, maker)
	return d
}

// pulledImage makes an image with a compressed layer, as a pull does.
func pulledImage(t testing.TB, s *Store) (image.Descriptor, Layer) {
	t.Helper()
	tar, l := layerTar(t, map[string]string{"base": "b"})
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write(tar)
	w.Close()
	blob, err := s.WriteBlob(t.Context(), image.MediaTypeLayerGzip, z.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := s.Unpack(t.Context(), blob, l.DiffID)
	if err != nil {
		t.Fatal(err)
	}
	var c image.Config
	c.OS, c.Architecture, c.RootFS.Type, c.RootFS.DiffIDs = "linux", "amd64", "layers", []digest.Digest{l.DiffID}
	m := image.Manifest{MediaType: image.MediaTypeManifest, Config: writeJSON(t, s, image.MediaTypeConfig, c)}
	m.Layers = []image.Descriptor{blob}
	return writeJSON(t, s, image.MediaTypeManifest, m), tree
}

func (d damaged) blob(t testing.TB, sum digest.Digest) string {
	t.Helper()
	p, err := d.s.blobPath(sum)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (d damaged) layerBlob(t testing.TB) string {
	t.Helper()
	doc, err := d.s.readDocument(d.pulled.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return d.blob(t, doc.Layers[0].Digest)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name  string
		do    func(*testing.T, damaged)
		want  []string // kind and beginning of what
		after []string // of a check behind the repair
	}{
		{"sound", func(*testing.T, damaged) {}, nil, nil},
		{
			"content of a manifest", func(t *testing.T, d damaged) { corrupt(t, d.blob(t, d.target.Digest), 3) },
			[]string{"blob has content with another", "name lacks index sha256:"},
			[]string{"name lacks index sha256:", "=orphan no name"},
		},
		{
			"content of a layer's blob", func(t *testing.T, d damaged) { corrupt(t, d.layerBlob(t), 30) },
			[]string{"blob has content with another", "name lacks layer sha256:", "name lacks layer sha256:"},
			[]string{"name lacks layer sha256:", "name lacks layer sha256:"},
		},
		{
			"short blob", func(t *testing.T, d damaged) { must(t, os.Truncate(d.layerBlob(t), 7)) },
			[]string{"blob has 7 bytes", "name lacks layer sha256:", "name lacks layer sha256:"},
			[]string{"name lacks layer sha256:", "name lacks layer sha256:"},
		},
		{
			"no blob", func(t *testing.T, d damaged) { must(t, os.Remove(d.blob(t, d.pulled.Digest))) },
			[]string{"name lacks manifest", "name lacks manifest", "=orphan no name"},
			[]string{"name lacks manifest", "name lacks manifest", "=orphan no name"}, // for the next pull
		},
		{
			"a file where blobs are", func(t *testing.T, d damaged) {
				must(t, os.WriteFile(d.s.path("blobs", "sha256", "junk"), nil, 0o600))
			},
			[]string{"blob is not named as blobs are", "=orphan no name"},
			nil,
		},
		{
			"file in the built tree", func(t *testing.T, d damaged) {
				must(t, os.WriteFile(filepath.Join(d.tree.Dir, "file"), []byte("y"), 0o644))
			},
			[]string{"layer is not what it was", "name lacks layer sha256:", "record leads to the damaged"},
			[]string{"name lacks layer sha256:"},
		},
		{
			"file in the unpacked tree", func(t *testing.T, d damaged) {
				must(t, os.WriteFile(filepath.Join(d.base.Dir, "more"), nil, 0o644))
			},
			[]string{"layer is not what it was"},
			nil,
		},
		{
			"no meta", func(t *testing.T, d damaged) { must(t, os.Remove(d.s.path("layers", string(d.base.ID), "meta.json"))) },
			[]string{"layer has no meta.json", "=index leads to no layer", "=orphan no name"},
			nil,
		},
		{
			"no tree", func(t *testing.T, d damaged) { must(t, os.RemoveAll(d.base.Dir)) },
			[]string{"layer has no tree"},
			nil,
		},
		{
			"no layer", func(t *testing.T, d damaged) { must(t, os.RemoveAll(filepath.Dir(d.tree.Dir))) },
			[]string{"name lacks layer sha256:", "record leads to a layer that is not there", "=index leads to no layer"},
			[]string{"name lacks layer sha256:"},
		},
		{
			"half a record", func(t *testing.T, d damaged) { must(t, os.Truncate(d.s.recordPath("aaaa"), 9)) },
			[]string{"record is damaged"},
			nil,
		},
		{
			"no index", func(t *testing.T, d damaged) { must(t, os.Remove(d.s.diffIDPath(d.tree.DiffID, ""))) },
			[]string{"=index is missing"},
			nil,
		},
		{
			"torn names log", func(t *testing.T, d damaged) { appendTo(t, d.s.path("names.log"), "\x40\x00\x00\x00torn") },
			[]string{"=names log a killed writer left 8 bytes"},
			nil,
		},
		{
			"damaged end of the names log", func(t *testing.T, d damaged) {
				appendTo(t, d.s.path("names.log"), "\x02\x00\x00\x00torn??")
			},
			[]string{"names log 10 bytes at its end"},
			nil,
		},
		{
			"header of the names log", func(t *testing.T, d damaged) { corrupt(t, d.s.path("names.log"), 2) },
			[]string{"names log its header is damaged, 3 records are good"},
			nil,
		},
		{
			"compaction of the names log", func(t *testing.T, d damaged) {
				must(t, os.WriteFile(d.s.path("names.log.new"), []byte("MICA"), 0o600))
			},
			[]string{"=temporary was not finished"},
			nil,
		},
		{
			"killed process", func(t *testing.T, d damaged) {
				must(t, os.WriteFile(d.s.path("leases", "1-dead"), nil, 0o600))
				must(t, os.MkdirAll(d.s.path("tmp", "1-dead", "layer"), 0o700))
				must(t, os.MkdirAll(d.s.path("tmp", "2-lost"), 0o700))
				must(t, os.MkdirAll(d.s.path("trash", "x"), 0o700))
			},
			[]string{"=lease its process", "=temporary has no lease", "=trash was not unlinked"},
			nil,
		},
		{
			"nameless cache mount", func(t *testing.T, d damaged) {
				must(t, os.MkdirAll(d.s.path("cachemounts", "abc", "0", "fs"), 0o700))
			},
			[]string{"cache mount does not say whose"},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDamaged(t)
			tt.do(t, d)
			// A quick check writes nothing and so does not tidy up by itself.
			quick := CheckOptions{Quick: !strings.Contains(strings.Join(tt.want, " "), "content") && !strings.Contains(strings.Join(tt.want, " "), "not what")}
			wantFindings(t, "check", check(t, d.s, quick), tt.want)
			check(t, d.s, CheckOptions{Repair: true})
			d.s.removals.Wait()
			wantFindings(t, "check after the repair", check(t, d.s, CheckOptions{}), tt.after)
			if list := names(t, d.s, nil); len(list) != 3 {
				t.Errorf("names %v after the repair, want all three", list)
			}
		})
	}
}

func wantFindings(t *testing.T, what string, got, want []string) {
	t.Helper()
	same := len(got) == len(want)
	for i := range got {
		same = same && strings.HasPrefix(got[i], want[i])
	}
	if !same {
		t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(text)
	must(t, err)
}

// TestCheckAdvice checks that images are named with what to do about them.
func TestCheckAdvice(t *testing.T) {
	d := newDamaged(t)
	corrupt(t, d.layerBlob(t), 30)
	list, err := d.s.Check(t.Context(), CheckOptions{})
	must(t, err)
	want := []string{"example.com/base:1", "example.com/base@" + d.pulled.Digest.String()}
	if diff := cmp.Diff(want, list[0].Images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if want := "pull again: " + strings.Join(want, ", "); list[0].Advice != want {
		t.Errorf("advice %q, want %q", list[0].Advice, want)
	}
}

// TestSalvageNames loses one record of many, and no other.
func TestSalvageNames(t *testing.T) {
	d := newDamaged(t)
	raw, err := os.ReadFile(d.s.path("names.log"))
	must(t, err)
	first := nextRecord(raw[nameLogHeader:])
	raw[nameLogHeader+first/2] ^= 1
	v := salvageNames(raw)
	if v.table.live() != 2 || v.skipped != first || v.tail != 0 || !v.header {
		t.Errorf("salvaged %d names, skipped %d, tail %d, header %v; want 2, %d, 0, true", v.table.live(), v.skipped, v.tail, v.header, first)
	}
}

func FuzzSalvageNames(f *testing.F) {
	d := newDamaged(f)
	raw, err := os.ReadFile(d.s.path("names.log"))
	must(f, err)
	f.Add(raw, 3, byte(1))
	f.Add(raw[:20], 3, byte(0))
	f.Add([]byte{}, 0, byte(0))
	f.Fuzz(func(t *testing.T, log []byte, at int, flip byte) {
		if at >= 0 && at < len(log) {
			log[at] ^= flip
		}
		v := salvageNames(log)
		if v.tail < 0 || v.skipped < 0 || v.tail+v.skipped > len(log) {
			t.Errorf("tail %d, skipped %d of %d bytes", v.tail, v.skipped, len(log))
		}
	})
}
