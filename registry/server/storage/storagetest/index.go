package storagetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server/storage"
)

var noTimes = cmpopts.IgnoreTypes(time.Time{})

func repository(t *testing.T, open Open) {
	ctx := t.Context()
	s := open(t)()
	config, layer := mustPush(t, s, "r", "config"), mustPush(t, s, "r", "layer")
	subject := digest.FromString("subject")
	d := manifest(t, s, "r", "manifest", storage.Manifest{
		ArtifactType: "test/type", Subject: subject, Blobs: []digest.Digest{config, layer}, Manifests: []digest.Digest{digest.FromString("child")},
	}, "a", "b")
	want := storage.Manifest{
		Digest: d, MediaType: image.MediaTypeManifest, Size: 8, ArtifactType: "test/type", Subject: subject,
		Blobs: []digest.Digest{config, layer}, Manifests: []digest.Digest{digest.FromString("child")}, Tags: 2,
	}
	got, err := s.Index.Manifest(ctx, "r", d)
	if diff := cmp.Diff(want, got, noTimes); diff != "" || err != nil {
		t.Errorf("manifest: %v (-want +got):\n%s", err, diff)
	}
	l, err := s.Index.Blob(ctx, "r", layer)
	if diff := cmp.Diff(storage.Link{Digest: layer, Size: 5, Users: 1}, l, noTimes); diff != "" || err != nil {
		t.Errorf("link: %v (-want +got):\n%s", err, diff)
	}
	refs, err := s.Index.Referrers(ctx, "r", subject)
	want.Blobs, want.Manifests = nil, nil
	if diff := cmp.Diff([]storage.Manifest{want}, refs, noTimes); diff != "" || err != nil {
		t.Errorf("referrers: %v (-want +got):\n%s", err, diff)
	}

	for what, err := range map[string]error{
		"blob of another repository":     second(s.Index.Blob(ctx, "x", layer)),
		"manifest as blob":               second(s.Index.Blob(ctx, "r", d)),
		"blob as manifest":               second(s.Index.Manifest(ctx, "r", layer)),
		"manifest of another repository": second(s.Index.Manifest(ctx, "r/x", d)),
		"tag":                            second(s.Index.Tag(ctx, "r", "c")),
		"tags of none":                   second(s.Index.TagNames(ctx, "x", storage.Page{})),
	} {
		if !errors.Is(err, errs.ErrNotFound) {
			t.Errorf("%s: %v, want not found", what, err)
		}
	}

	must(t, s.Index.Update(ctx, "r", func(tx storage.Tx) error {
		if users := tx.Users(layer); !cmp.Equal(users, []digest.Digest{d}) {
			t.Errorf("users of the layer: %v", users)
		}
		if tags := tx.TagsOf(d); len(tags) != 2 || tags[0].Name != "a" || tags[1].Name != "b" {
			t.Errorf("tags of the manifest: %v", tags)
		}
		tx.DeleteManifest(d)
		tx.Unlink(layer)
		return nil
	}))
	wantErr(t, second(s.Index.Tag(ctx, "r", "a")), errs.ErrNotFound)
	wantErr(t, second(s.Index.Blob(ctx, "r", layer)), errs.ErrNotFound)
	refs, err = s.Index.Referrers(ctx, "r", subject)
	if len(refs) != 0 || err != nil {
		t.Errorf("referrers after delete: %v, %v", refs, err)
	}
	l, err = s.Index.Blob(ctx, "r", config)
	if err != nil || l.Users != 0 {
		t.Errorf("config after delete: %+v, %v", l, err)
	}
	failed := errors.New("no")
	wantErr(t, s.Index.Update(ctx, "r", func(tx storage.Tx) error {
		tx.Unlink(config)
		return failed
	}), failed)
	wantErr(t, s.Index.Update(ctx, "r", func(tx storage.Tx) error {
		tx.Unlink(config)
		tx.Publish(func() error { return failed })
		return nil
	}), failed)
	must(t, second(s.Index.Blob(ctx, "r", config)))
}

func second[V any](_ V, err error) error { return err }

func lists(t *testing.T, open Open) {
	ctx := t.Context()
	s := open(t)()
	d := manifest(t, s, "b/c", "one", storage.Manifest{}, "b", "a", "C")
	e := manifest(t, s, "b/c", "two", storage.Manifest{}, "d")
	manifest(t, s, "a", "one", storage.Manifest{}, "x")
	mustPush(t, s, "only/blobs", "blob")
	for _, tt := range []struct {
		page storage.Page
		want []string
	}{
		{storage.Page{}, []string{"C", "a", "b", "d"}},
		{storage.Page{N: 2}, []string{"C", "a"}},
		{storage.Page{Last: "a", N: 1}, []string{"b"}},
		{storage.Page{Last: "aa"}, []string{"b", "d"}},
		{storage.Page{Last: "z"}, nil},
	} {
		got, err := s.Index.TagNames(ctx, "b/c", tt.page)
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("tags %+v: %v (-want +got):\n%s", tt.page, err, diff)
		}
		tags, err := s.Index.Tags(ctx, "b/c", tt.page)
		var names []string
		for _, tag := range tags {
			names = append(names, tag.Name)
		}
		if diff := cmp.Diff(tt.want, names, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("tags %+v: %v (-want +got):\n%s", tt.page, err, diff)
		}
	}
	at := time.Now().Add(time.Minute).Truncate(time.Second)
	s.Index.Pulled("b/c", "a", d, at)
	s.Index.Pulled("nowhere", "a", d, at)
	must(t, s.Index.Flush(ctx))
	tag, err := s.Index.Tag(ctx, "b/c", "a")
	if err != nil || !tag.Pulled.Equal(at) || time.Since(tag.Pushed).Abs() > time.Minute || tag.Digest != d {
		t.Errorf("tag %+v, %v", tag, err)
	}
	other, err := s.Index.Tag(ctx, "b/c", "b")
	if err != nil || !other.Pulled.IsZero() {
		t.Errorf("tag that nobody pulled: %+v, %v", other, err)
	}
	m, err := s.Index.Manifest(ctx, "b/c", d)
	if err != nil || !m.Pulled.Equal(at) || m.Tags != 3 {
		t.Errorf("manifest %+v, %v", m, err)
	}

	repos, err := s.Index.Repositories(ctx, storage.Page{})
	want := []storage.Repository{
		{Name: "a", Usage: storage.Usage{Bytes: 3, Manifests: 1, Tags: 1}},
		{Name: "b/c", Usage: storage.Usage{Bytes: 6, Manifests: 2, Tags: 4}},
		{Name: "only/blobs", Usage: storage.Usage{Bytes: 4, Blobs: 1}},
	}
	if diff := cmp.Diff(want, repos); diff != "" || err != nil {
		t.Errorf("repositories: %v (-want +got):\n%s", err, diff)
	}
	repos, err = s.Index.Repositories(ctx, storage.Page{Last: "a", N: 1})
	if err != nil || len(repos) != 1 || repos[0].Name != "b/c" {
		t.Errorf("a page of repositories: %v, %v", repos, err)
	}
	ms, err := s.Index.Manifests(ctx, "b/c", storage.Page{})
	if err != nil || len(ms) != 2 || ms[0].Digest != min(d, e) {
		t.Errorf("manifests %v, %v", ms, err)
	}
	holders, err := s.Index.Holders(ctx, digest.FromString("blob"))
	if diff := cmp.Diff([]string{"only/blobs"}, holders); diff != "" || err != nil {
		t.Errorf("holders: %v (-want +got):\n%s", err, diff)
	}
	must(t, s.Index.Update(ctx, "a", func(tx storage.Tx) error {
		tx.DeleteManifest(d)
		return nil
	}))
	repos, err = s.Index.Repositories(ctx, storage.Page{N: 1})
	if err != nil || len(repos) != 1 || repos[0].Name != "b/c" {
		t.Errorf("repositories when one has nothing: %v, %v", repos, err)
	}
}

// limits pushes in parallel, through several opens, into repositories that share
// a limit: exactly as many as fit get through.
func limits(t *testing.T, open Open) {
	again := open(t)
	all := []*storage.Storage{again(), again()}
	team := storage.Limit{Prefix: "team/", Bytes: 55}
	one := storage.Limit{Prefix: "team/b", Bytes: 20}
	var mu sync.Mutex
	got := map[string]int{}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			repo := []string{"team/a", "team/b", "teams"}[i%3]
			_, err := push(t, all[i%2], repo, fmt.Sprintf("blob %5d", i), one, team)
			var q *storage.QuotaError
			if err != nil && !errors.As(err, &q) {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				got[repo]++
			}
		})
	}
	wg.Wait()
	if got["teams"] != 8 || got["team/b"] > 2 || got["team/a"]+got["team/b"] != 5 {
		t.Errorf("pushed %v: want teams 8, team/b 2 at most, team/* 5 in all", got)
	}
	// What is there already needs no room.
	s := all[0]
	repos, err := s.Index.Repositories(t.Context(), storage.Page{})
	must(t, err)
	if repos[0].Name != "team/a" || repos[0].Bytes != int64(10*got["team/a"]) {
		t.Errorf("repositories %v", repos)
	}
	links, err := s.Index.Links(t.Context(), "team/a", storage.Page{N: 1})
	must(t, err)
	must(t, s.Index.Update(t.Context(), "team/a", func(tx storage.Tx) error {
		tx.Link(links[0])
		tx.Limit(storage.Limit{Prefix: "team/", Bytes: 1})
		return nil
	}))
}

// others checks that what one open does is seen by another at once.
func others(t *testing.T, open Open) {
	ctx := t.Context()
	again := open(t)
	a, b := again(), again()
	for i := range 5 {
		tag := fmt.Sprint("tag", i)
		d := manifest(t, a, "r", tag, storage.Manifest{}, tag, "latest")
		for _, s := range []*storage.Storage{b, a, again()} {
			got, err := s.Index.Tag(ctx, "r", "latest")
			if err != nil || got.Digest != d {
				t.Errorf("latest is %v, %v, want %s", got, err, d)
			}
		}
		names, err := b.Index.TagNames(ctx, "r", storage.Page{})
		if err != nil || len(names) != i+2 {
			t.Errorf("tags %v, %v", names, err)
		}
		a, b = b, a
	}
	must(t, a.Index.Update(ctx, "r", func(tx storage.Tx) error {
		tx.DeleteTag("latest")
		return nil
	}))
	wantErr(t, second(b.Index.Tag(ctx, "r", "latest")), errs.ErrNotFound)
}
