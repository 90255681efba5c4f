//go:build linux

package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

func grow(t *testing.T, s *Store, name string) *Growing {
	t.Helper()
	g, err := s.Grow(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGrowing makes a blob in two turns.
func TestGrowing(t *testing.T) {
	s := open(t, t.TempDir())
	data := noise(1000)
	g := grow(t, s, "a")
	if g.Mark() != nil {
		t.Errorf("a new one has the mark %q", g.Mark())
	}
	must(t, g.Keep(0))
	write(t, g, data[:600])
	must(t, g.SetMark(t.Context(), []byte("500 bytes")))
	must(t, g.Close())

	g = grow(t, s, "a")
	if diff := cmp.Diff("500 bytes", string(g.Mark())); diff != "" {
		t.Error(diff)
	}
	if err := g.Keep(601); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("more than there is was kept: %v", err)
	}
	must(t, g.Keep(500))
	write(t, g, data[500:])
	d, err := g.Commit(t.Context(), image.MediaTypeLayer)
	if err != nil {
		t.Fatal(err)
	}
	must(t, g.Close())
	if diff := cmp.Diff(image.NewDescriptor(image.MediaTypeLayer, data), d); diff != "" {
		t.Error(diff)
	}
	got, err := s.ReadBlob(t.Context(), d.Digest)
	if err != nil || string(got) != string(data) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	empty(t, s, "incoming")
}

func write(t *testing.T, w io.Writer, p []byte) {
	t.Helper()
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
}

// TestGrowingRead reads a blob while it is made.
func TestGrowingRead(t *testing.T) {
	s := open(t, t.TempDir())
	g := grow(t, s, "a")
	must(t, g.Keep(0))
	read := make(chan string)
	go func() {
		defer close(read)
		var b strings.Builder
		for {
			have, whole, err := g.Wait(context.Background(), int64(b.Len()+1))
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := io.Copy(&b, io.NewSectionReader(g, int64(b.Len()), have-int64(b.Len()))); err != nil {
				t.Error(err)
			}
			if whole.Digest != "" && have == int64(b.Len()) {
				read <- b.String()
				return
			}
		}
	}()
	write(t, g, []byte("one "))
	write(t, g, []byte("two"))
	if _, err := g.Commit(t.Context(), image.MediaTypeLayer); err != nil {
		t.Fatal(err)
	}
	if got := <-read; got != "one two" {
		t.Errorf("read %q", got)
	}
	must(t, g.Close())

	g = grow(t, s, "b")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := g.Wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for nothing: %v", err)
	}
	must(t, g.Close())
	if _, _, err := g.Wait(t.Context(), 1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("waiting for one that is closed: %v", err)
	}
}

// TestGrowingMarks does not believe what it cannot.
func TestGrowingMarks(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := s.Grow(t.Context(), "../a"); !errors.Is(err, errs.ErrInvalid) {
		t.Errorf("a name with a folder: %v", err)
	}
	for name, raw := range map[string]string{"before a reboot": "other\nmark", "cut": bootID(), "nothing": ""} {
		g := grow(t, s, "a")
		must(t, g.Close())
		must(t, os.WriteFile(g.markPath(), []byte(raw), 0o600))
		g = grow(t, s, "a")
		if g.Mark() != nil {
			t.Errorf("%s: the mark is %q", name, g.Mark())
		}
		must(t, g.Close())
	}
}
