package engine

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/ref"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
)

// growing is a layer that is never done before somebody asked for all of it.
type growing struct{ data []byte }

func (g growing) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(g.data).ReadAt(p, off)
}

func (g growing) Wait(_ context.Context, n int64) (int64, image.Descriptor, error) {
	if size := int64(len(g.data)); n > 0 && n < size {
		return n, image.Descriptor{}, nil
	}
	return int64(len(g.data)), image.NewDescriptor(image.MediaTypeLayerGzip, g.data), nil
}

// TestEarly sends a layer while it is made, unless it is small or the image that has
// the name has it.
func TestEarly(t *testing.T) {
	s := httptest.NewServer(server.New(server.NewMemory(), server.Options{}))
	t.Cleanup(s.Close)
	name, err := ref.Parse(strings.TrimPrefix(s.URL, "http://") + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	repo := remote.New(remote.Options{CertsDirs: []string{}}).Repository(name)
	known := digest.FromBytes(contenttest.Layer(t, "file", "there"))
	if err := repo.Tag(t.Context(), "1", contenttest.PushIndex(t, repo, contenttest.Push(t, repo, "there"))); err != nil {
		t.Fatal(err)
	}

	data := make([]byte, 2*earlySize)
	_, _ = rand.NewChaCha8([32]byte{}).Read(data)
	for _, tt := range []struct {
		name  string
		plain digest.Digest
		data  []byte
		want  bool
	}{
		{"known", known, data, false},
		{"small", digest.FromString("x"), data[:earlySize-1], false},
		{"new", digest.FromString("x"), data, true},
	} {
		g := growing{tt.data}
		p := &early{repo: repo, name: "1", sent: map[digest.Digest]bool{}}
		p.Watch(t.Context(), image.Descriptor{Digest: tt.plain}, "key", g)
		_, d, _ := g.Wait(t.Context(), 0)
		ok, err := repo.Exists(t.Context(), d)
		if ok != tt.want || p.sent[d.Digest] != tt.want || err != nil {
			t.Errorf("%s: there %v, said to be sent %v, %v", tt.name, ok, p.sent[d.Digest], err)
		}
		var told []content.State
		p.told(func(e content.Event) { told = append(told, e.State) })(content.Event{Blob: d, State: content.Exists})
		want := content.Exists
		if tt.want {
			want = content.Done
		}
		if diff := cmp.Diff([]content.State{want}, told); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}
