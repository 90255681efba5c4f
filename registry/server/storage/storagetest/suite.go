package storagetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/server/storage"
)

// Open makes an empty registry and gives a function that opens it, as another
// process would, as often as it is called.
type Open func(testing.TB) func() *storage.Storage

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"uploads":     uploads,
		"bytes":       blobs,
		"repository":  repository,
		"lists":       lists,
		"limits":      limits,
		"collect":     collect,
		"garbage":     garbage,
		"untagged":    untagged,
		"race":        race,
		"scrub":       scrub,
		"other opens": others,
	} {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// upload writes text to a new upload and verifies it.
func upload(t testing.TB, s *storage.Storage, repo, text string) (digest.Digest, storage.Finished) {
	t.Helper()
	id, err := s.Blobs.Start(t.Context(), repo, digest.SHA256)
	must(t, err)
	_, err = s.Blobs.Write(t.Context(), repo, id, 0, strings.NewReader(text))
	must(t, err)
	d := digest.FromString(text)
	f, err := s.Blobs.Finish(t.Context(), repo, id, d)
	must(t, err)
	return d, f
}

// push gives a repository a blob.
func push(t testing.TB, s *storage.Storage, repo, text string, limits ...storage.Limit) (digest.Digest, error) {
	t.Helper()
	d, f := upload(t, s, repo, text)
	return d, s.Index.Update(t.Context(), repo, func(tx storage.Tx) error {
		tx.Link(storage.Link{Digest: d, Size: f.Size()})
		for _, l := range limits {
			tx.Limit(l)
		}
		tx.Publish(f.Publish)
		return nil
	})
}

func mustPush(t testing.TB, s *storage.Storage, repo, text string) digest.Digest {
	t.Helper()
	d, err := push(t, s, repo, text)
	must(t, err)
	return d
}

// manifest stores a manifest, whose bytes are text, under tags.
func manifest(t testing.TB, s *storage.Storage, repo, text string, m storage.Manifest, tags ...string) digest.Digest {
	t.Helper()
	d, f := upload(t, s, repo, text)
	m.Digest, m.Size, m.MediaType = d, f.Size(), image.MediaTypeManifest
	must(t, s.Index.Update(t.Context(), repo, func(tx storage.Tx) error {
		tx.PutManifest(m)
		for _, tag := range tags {
			tx.PutTag(storage.Tag{Name: tag, Digest: d})
		}
		tx.Publish(f.Publish)
		return nil
	}))
	return d
}

// read gives a blob's bytes.
func read(ctx context.Context, s *storage.Storage, d digest.Digest) (string, error) {
	f, err := s.Blobs.Open(ctx, d)
	if err != nil {
		return "", err
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	return string(raw), err
}

func has(t testing.TB, s *storage.Storage, d digest.Digest) bool {
	t.Helper()
	_, err := s.Blobs.Stat(t.Context(), d)
	if err != nil && !errors.Is(err, errs.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}
