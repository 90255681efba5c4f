package storagetest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/registry/server/storage"
)

func uploads(t *testing.T, open Open) {
	ctx := t.Context()
	t.Run("in pieces, by another", func(t *testing.T) {
		again := open(t)
		a, b := again(), again()
		id, err := a.Blobs.Start(ctx, "r", digest.SHA256)
		must(t, err)
		n, err := a.Blobs.Write(ctx, "r", id, 0, strings.NewReader("hello "))
		if err != nil || n != 6 {
			t.Fatalf("stands at %d, %v", n, err)
		}
		n, err = b.Blobs.Write(ctx, "r", id, 6, strings.NewReader("wor"))
		if err != nil || n != 9 {
			t.Fatalf("stands at %d, %v", n, err)
		}
		_, err = a.Blobs.Write(ctx, "r", id, 6, strings.NewReader("x"))
		wantErr(t, err, errs.ErrInvalid)
		_, err = a.Blobs.Write(ctx, "r", id, 9, strings.NewReader("ld"))
		must(t, err)
		d := digest.SHA512.FromString("hello world") // not the algorithm announced
		f, err := b.Blobs.Finish(ctx, "r", id, d)
		must(t, err)
		if has(t, a, d) {
			t.Fatal("there before it is published")
		}
		must(t, f.Publish())
		if got, err := read(ctx, a, d); got != "hello world" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		_, err = a.Blobs.Upload(ctx, "r", id)
		wantErr(t, err, errs.ErrNotFound)
	})
	t.Run("of another repository", func(t *testing.T) {
		s := open(t)()
		id, err := s.Blobs.Start(ctx, "r", digest.SHA256)
		must(t, err)
		for _, other := range []string{"x", "r/x", ""} {
			_, err := s.Blobs.Write(ctx, other, id, 0, strings.NewReader("x"))
			wantErr(t, err, errs.ErrNotFound)
			_, err = s.Blobs.Upload(ctx, other, id)
			wantErr(t, err, errs.ErrNotFound)
			wantErr(t, s.Blobs.Cancel(ctx, other, id), errs.ErrNotFound)
		}
	})
	t.Run("no name of one", func(t *testing.T) {
		s := open(t)()
		for _, id := range []string{"", "-", "..", "../registry", "A", strings.Repeat("A", 26), "A-B-C"} {
			_, err := s.Blobs.Upload(ctx, "r", id)
			wantErr(t, err, errs.ErrNotFound)
			_, err = s.Blobs.Finish(ctx, "r", id, digest.FromString(""))
			wantErr(t, err, errs.ErrNotFound)
		}
	})
	t.Run("other bytes are not kept", func(t *testing.T) {
		s := open(t)()
		id, err := s.Blobs.Start(ctx, "r", digest.SHA256)
		must(t, err)
		_, err = s.Blobs.Write(ctx, "r", id, 0, strings.NewReader("lies"))
		must(t, err)
		_, err = s.Blobs.Finish(ctx, "r", id, digest.FromString("truth"))
		wantErr(t, err, errs.ErrDigest)
		_, err = s.Blobs.Upload(ctx, "r", id)
		wantErr(t, err, errs.ErrNotFound)
		if has(t, s, digest.FromString("lies")) || has(t, s, digest.FromString("truth")) {
			t.Error("something was kept")
		}
	})
	t.Run("cancelled, discarded", func(t *testing.T) {
		s := open(t)()
		id, err := s.Blobs.Start(ctx, "r", digest.SHA256)
		must(t, err)
		must(t, s.Blobs.Cancel(ctx, "r", id))
		wantErr(t, s.Blobs.Cancel(ctx, "r", id), errs.ErrNotFound)
		d, f := upload(t, s, "r", "not wanted")
		f.Discard()
		if has(t, s, d) {
			t.Error("it was kept")
		}
	})
	t.Run("what came before it broke off is kept", func(t *testing.T) {
		s := open(t)()
		id, err := s.Blobs.Start(ctx, "r", digest.SHA256)
		must(t, err)
		broken := errors.New("broken off")
		n, err := s.Blobs.Write(ctx, "r", id, 0, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || n != 4 {
			t.Fatalf("stands at %d, %v", n, err)
		}
		n, err = s.Blobs.Upload(ctx, "r", id)
		if err != nil || n != 4 {
			t.Errorf("stands at %d, %v", n, err)
		}
		_, err = s.Blobs.Write(ctx, "r", id, 4, strings.NewReader(" and half"))
		must(t, err)
		f, err := s.Blobs.Finish(ctx, "r", id, digest.FromString("half and half"))
		must(t, err)
		must(t, f.Publish())
	})
	t.Run("one writer", func(t *testing.T) { oneWriter(t, open) })
	t.Run("given up", func(t *testing.T) { givenUp(t, open) })
}

// oneWriter checks that a second writer is refused while one is at it.
func oneWriter(t *testing.T, open Open) {
	again := open(t)
	a, b := again(), again()
	ctx := t.Context()
	id, err := a.Blobs.Start(ctx, "r", digest.SHA256)
	must(t, err)
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := a.Blobs.Write(ctx, "r", id, 0, r)
		done <- err
	}()
	_, err = w.Write([]byte("slow")) // so it has begun
	must(t, err)
	for _, s := range []*storage.Storage{a, b} {
		_, err = s.Blobs.Write(ctx, "r", id, 4, strings.NewReader("x"))
		if !errors.Is(err, errs.ErrConflict) && !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("second writer: %v", err)
		}
		_, err = s.Blobs.Finish(ctx, "r", id, digest.FromString("slow"))
		wantErr(t, err, errs.ErrConflict)
	}
	e, err := b.Blobs.Expire(ctx, time.Now().Add(time.Hour), false)
	if err != nil || e.Uploads != 0 {
		t.Errorf("expired while it was written to: %+v, %v", e, err)
	}
	must(t, w.Close())
	must(t, <-done)
	f, err := b.Blobs.Finish(ctx, "r", id, digest.FromString("slow"))
	must(t, err)
	must(t, f.Publish())
}

func givenUp(t *testing.T, open Open) {
	s := open(t)()
	ctx := t.Context()
	id, err := s.Blobs.Start(ctx, "r", digest.SHA256)
	must(t, err)
	_, err = s.Blobs.Write(ctx, "r", id, 0, strings.NewReader("12345"))
	must(t, err)
	for _, tt := range []struct {
		before time.Time
		dry    bool
		want   storage.Expired
	}{
		{time.Now().Add(-time.Hour), false, storage.Expired{}},
		{time.Now().Add(time.Hour), true, storage.Expired{Uploads: 1, Bytes: 5}},
		{time.Now().Add(time.Hour), false, storage.Expired{Uploads: 1, Bytes: 5}},
		{time.Now().Add(time.Hour), false, storage.Expired{}},
	} {
		got, err := s.Blobs.Expire(ctx, tt.before, tt.dry)
		if err != nil || got != tt.want {
			t.Errorf("before %v, dry %v: %+v, %v, want %+v", tt.before, tt.dry, got, err, tt.want)
		}
	}
	_, err = s.Blobs.Upload(ctx, "r", id)
	wantErr(t, err, errs.ErrNotFound)
}

func blobs(t *testing.T, open Open) {
	ctx := t.Context()
	s := open(t)()
	for _, text := range []string{"", "x", strings.Repeat("long ", 1<<18)} {
		d := mustPush(t, s, "r", text)
		if got, err := read(ctx, s, d); got != text || err != nil {
			t.Errorf("%d bytes came back as %d others, %v", len(text), len(got), err)
		}
		if n, err := s.Blobs.Stat(ctx, d); n != int64(len(text)) || err != nil {
			t.Errorf("size %d, %v, want %d", n, err, len(text))
		}
		mustPush(t, s, "r", text)
	}
	seen := map[digest.Digest]int64{}
	must(t, s.Blobs.Each(ctx, func(b storage.Stored) error {
		seen[b.Digest] = b.Size
		if age := time.Since(b.Modified); age < -time.Minute || age > time.Minute {
			t.Errorf("published %v ago", age)
		}
		return nil
	}))
	if len(seen) != 3 || seen[digest.FromString("x")] != 1 {
		t.Errorf("blobs %v", seen)
	}
	x := digest.FromString("x")
	must(t, s.Blobs.Remove(ctx, x))
	must(t, s.Blobs.Remove(ctx, x))
	must(t, s.Blobs.Quarantine(ctx, digest.FromString("")))
	if has(t, s, x) || has(t, s, digest.FromString("")) {
		t.Error("removed blobs are there")
	}
	_, err := s.Blobs.Open(ctx, x)
	wantErr(t, err, errs.ErrNotFound)
}
