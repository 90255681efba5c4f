package server_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/mica-build/mica/content"
	"github.com/mica-build/mica/content/contenttest"
	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server"
)

func TestRepository(t *testing.T) {
	for name, open := range storages {
		t.Run(name, func(t *testing.T) {
			contenttest.Store(t, func(testing.TB) content.Store {
				r, err := server.New(open(t), server.Options{}).Repository("library/test")
				if err != nil {
					t.Fatal(err)
				}
				return r
			})
		})
	}
}

// TestRepositoryServed checks that what goes in one way comes out the other.
func TestRepositoryServed(t *testing.T) {
	s := server.NewMemory()
	g := server.New(s, server.Options{Immutable: func(_, tag string) bool { return tag == "v1" }})
	a, err := g.Repository("a")
	if err != nil {
		t.Fatal(err)
	}
	d := contenttest.Push(t, a, "text")
	if err := a.Tag(t.Context(), "example.com/a:v1", d); err != nil {
		t.Fatal(err)
	}
	r := start(t, s, server.Options{})
	if got := r.want(200, "GET", "/v2/a/manifests/v1", "").header.Get("Docker-Content-Digest"); got != d.Digest.String() {
		t.Errorf("served %s", got)
	}
	other := contenttest.Push(t, a, "other")
	if err := a.Tag(t.Context(), "v1", other); err == nil || !strings.Contains(err.Error(), "immutable") {
		t.Errorf("an immutable tag was moved: %v", err)
	}
	if _, err := g.Repository("../a"); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("no name: %v", err)
	}
	man := image.NewDescriptor(image.MediaTypeManifest, []byte(strings.Replace(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":"D","size":1},"layers":[]}`, "D", string(image.NewDescriptor("", []byte("x")).Digest), 1)))
	if err := a.Push(t.Context(), man, strings.NewReader(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":"`+string(image.NewDescriptor("", []byte("x")).Digest)+`","size":1},"layers":[]}`)); err == nil {
		t.Error("a manifest without its blobs was taken")
	}
}
