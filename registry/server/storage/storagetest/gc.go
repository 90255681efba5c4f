package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

// collect checks that nothing that somebody has is removed.
func collect(t *testing.T, open Open) {
	s := open(t)()
	d := mustPush(t, s, "a", "linked")
	m := manifest(t, s, "b", "manifest", storage.Manifest{})
	_, f := upload(t, s, "c", "nobody's")
	must(t, f.Publish())
	nobodys := digest.FromString("nobody's")
	all := []digest.Digest{d, m, nobodys}
	for _, tt := range []struct {
		name string
		gone func(storage.Use) bool
		dry  bool
		want []digest.Digest
	}{
		{"all uses count", nil, false, []digest.Digest{nobodys}},
		{"a link does not", func(u storage.Use) bool { return u == storage.Use{Repository: "a", Digest: d, Blob: true} }, true, []digest.Digest{d, nobodys}},
		{"a manifest does not", func(u storage.Use) bool { return !u.Blob }, true, []digest.Digest{m, nobodys}},
	} {
		var got []digest.Digest
		must(t, s.Index.Collect(t.Context(), storage.Collection{Candidates: all, Gone: tt.gone, Dry: tt.dry, Remove: func(d digest.Digest) error {
			got = append(got, d)
			return nil
		}}))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	failed := errors.New("no")
	wantErr(t, s.Index.Collect(t.Context(), storage.Collection{Candidates: all, Remove: func(digest.Digest) error { return failed }}), failed)
}

var byDigest = cmpopts.SortSlices(func(a, b storage.Removed) bool {
	return a.Repository+string(a.Digest) < b.Repository+string(b.Digest)
})

func removed(repo string, d digest.Digest, size int64) storage.Removed {
	return storage.Removed{Repository: repo, Digest: d, Size: size}
}

func garbage(t *testing.T, open Open) {
	ctx := t.Context()
	s := open(t)()
	used, idle := mustPush(t, s, "a", "used"), mustPush(t, s, "a", "idle")
	mustPush(t, s, "b", "idle")
	mustPush(t, s, "b", "used") // not in b
	m := manifest(t, s, "a", "manifest", storage.Manifest{Blobs: []digest.Digest{used}})
	young, err := storage.CollectGarbage(ctx, s, storage.GCOptions{})
	if diff := cmp.Diff(storage.Garbage{}, young); diff != "" || err != nil {
		t.Fatalf("within the grace time: %v (-want +got):\n%s", err, diff)
	}
	want := storage.Garbage{
		Links: []storage.Removed{removed("a", idle, 4), removed("b", idle, 4), removed("b", used, 4)},
		Blobs: []storage.Removed{removed("", idle, 4)}, Bytes: 4,
	}
	for _, dry := range []bool{true, true, false} {
		got, err := storage.CollectGarbage(ctx, s, storage.GCOptions{Grace: -1, Dry: dry})
		if diff := cmp.Diff(want, got, byDigest); diff != "" || err != nil {
			t.Errorf("dry %v: %v (-want +got):\n%s", dry, err, diff)
		}
		if has(t, s, idle) != dry {
			t.Errorf("dry %v: the blob is there: %v", dry, !dry)
		}
	}
	if !has(t, s, used) || !has(t, s, m) {
		t.Error("something that is used is gone")
	}
	must(t, second(s.Index.Blob(ctx, "a", used)))
	wantErr(t, second(s.Index.Blob(ctx, "b", used)), errs.ErrNotFound)
	again, err := storage.CollectGarbage(ctx, s, storage.GCOptions{Grace: -1})
	if diff := cmp.Diff(storage.Garbage{}, again); diff != "" || err != nil {
		t.Errorf("a second time: %v (-want +got):\n%s", err, diff)
	}
}

// untagged checks what a tag leads to.
func untagged(t *testing.T, open Open) {
	ctx := t.Context()
	s := open(t)()
	shared, own := mustPush(t, s, "r", "shared"), mustPush(t, s, "r", "own")
	child := manifest(t, s, "r", "child", storage.Manifest{Blobs: []digest.Digest{shared}})
	inner := manifest(t, s, "r", "inner index", storage.Manifest{Manifests: []digest.Digest{child}})
	manifest(t, s, "r", "index", storage.Manifest{Manifests: []digest.Digest{inner, digest.FromString("sparse")}}, "tag")
	sig := manifest(t, s, "r", "signature of child", storage.Manifest{Subject: child})
	dead := manifest(t, s, "r", "dead", storage.Manifest{Blobs: []digest.Digest{shared, own}})
	deadIndex := manifest(t, s, "r", "dead index", storage.Manifest{Manifests: []digest.Digest{dead, child}})
	deadSig := manifest(t, s, "r", "signature of dead", storage.Manifest{Subject: dead})
	lost := manifest(t, s, "r", "signature of nothing", storage.Manifest{Subject: digest.FromString("nothing")})

	want := storage.Garbage{
		Manifests: []storage.Removed{removed("r", dead, 4), removed("r", deadIndex, 10), removed("r", deadSig, 17), removed("r", lost, 20)},
		Links:     []storage.Removed{removed("r", own, 3)},
		Blobs:     []storage.Removed{removed("", dead, 4), removed("", deadIndex, 10), removed("", deadSig, 17), removed("", lost, 20), removed("", own, 3)},
		Bytes:     54,
	}
	none, err := storage.CollectGarbage(ctx, s, storage.GCOptions{Untagged: true})
	if diff := cmp.Diff(storage.Garbage{}, none); diff != "" || err != nil {
		t.Errorf("within the grace time: %v (-want +got):\n%s", err, diff)
	}
	for _, dry := range []bool{true, false} {
		got, err := storage.CollectGarbage(ctx, s, storage.GCOptions{Grace: -1, Untagged: true, Dry: dry})
		if diff := cmp.Diff(want, got, byDigest); diff != "" || err != nil {
			t.Errorf("dry %v: %v (-want +got):\n%s", dry, err, diff)
		}
	}
	for _, d := range []digest.Digest{child, inner, sig} {
		must(t, second(s.Index.Manifest(ctx, "r", d)))
	}
}

// race pushes, and deletes, while garbage is collected without any grace time: what
// was pushed as a whole stays.
func race(t *testing.T, open Open) {
	again := open(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		s := again()
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := storage.CollectGarbage(ctx, s, storage.GCOptions{Grace: -1}); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var pushers sync.WaitGroup
	for i := range 4 {
		s := again()
		pushers.Go(func() {
			for n := range 40 {
				text := fmt.Sprint("layer ", n%7) // the same for all
				pushWhole(t, s, fmt.Sprint("repo", i), fmt.Sprintf("manifest %d %d", i, n), text)
			}
		})
	}
	pushers.Wait()
	stop()
	wg.Wait()
	s := again()
	problems, err := storage.Scrub(t.Context(), s, storage.ScrubOptions{})
	if err != nil || len(problems) > 0 {
		t.Errorf("scrub: %v, %v", problems, err)
	}
	for i := range 4 {
		ms, err := s.Index.Manifests(t.Context(), fmt.Sprint("repo", i), storage.Page{})
		if err != nil || len(ms) != 40 {
			t.Errorf("%d manifests of 40, %v", len(ms), err)
		}
	}
}

// pushWhole pushes a blob and the manifest that needs it at once, which is what the
// grace time is for otherwise.
func pushWhole(t *testing.T, s *storage.Storage, repo, text, layer string) {
	d, f := upload(t, s, repo, text)
	l, fl := upload(t, s, repo, layer)
	err := s.Index.Update(t.Context(), repo, func(tx storage.Tx) error {
		tx.Link(storage.Link{Digest: l, Size: fl.Size()})
		tx.PutManifest(storage.Manifest{Digest: d, Size: f.Size(), MediaType: "test/manifest", Blobs: []digest.Digest{l}})
		tx.Publish(f.Publish)
		tx.Publish(fl.Publish)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func scrub(t *testing.T, open Open) {
	ctx := t.Context()
	s := open(t)()
	layer, lost := mustPush(t, s, "r", "layer"), mustPush(t, s, "r", "lost")
	m := manifest(t, s, "r", "manifest", storage.Manifest{Blobs: []digest.Digest{layer, lost}}, "tag")
	var seen []string
	problems, err := storage.Scrub(ctx, s, storage.ScrubOptions{Progress: func(o string) { seen = append(seen, o) }})
	if err != nil || len(problems) > 0 || len(seen) != 4 || !slices.Contains(seen, "repository r") {
		t.Fatalf("a sound one: %v, %v, looked at %v", problems, err, seen)
	}
	must(t, s.Blobs.Remove(ctx, lost))
	must(t, s.Index.Update(ctx, "r", func(tx storage.Tx) error {
		tx.Unlink(layer)
		return nil
	}))
	problems, err = storage.Scrub(ctx, s, storage.ScrubOptions{Repair: true})
	if err != nil || len(problems) != 2 {
		t.Fatalf("problems %v, %v", problems, err)
	}
	if p := problems[0]; p.Digest != lost || p.Repository != "r" || !strings.Contains(p.What, "gone") {
		t.Errorf("first %+v", p)
	}
	if p := problems[1]; p.Digest != m || !strings.Contains(p.What, layer.String()) {
		t.Errorf("second %+v", p)
	}
}
