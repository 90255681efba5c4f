//go:build linux

package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mica-build/mica/errs"
	"github.com/mica-build/mica/image"
)

// noise is n bytes that nobody guesses.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func receive(t *testing.T, s *Store, d image.Descriptor) *Incoming {
	t.Helper()
	in, err := s.Receive(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if in == nil {
		t.Fatal("the blob is there already")
	}
	return in
}

// TestIncoming writes a blob in parts, out of order, in three turns.
func TestIncoming(t *testing.T) {
	s := open(t, t.TempDir())
	data := noise(10*IncomingBlock + 100)
	d := image.NewDescriptor(image.MediaTypeLayer, data)
	write := func(in *Incoming, from, to int64) {
		t.Helper()
		if _, err := in.WriteAt(data[from:to], from); err != nil {
			t.Fatal(err)
		}
	}
	size := int64(len(data))
	in := receive(t, s, d)
	write(in, 2*IncomingBlock, 4*IncomingBlock)
	write(in, 10*IncomingBlock, size)
	write(in, 6*IncomingBlock, 7*IncomingBlock)
	want := []Span{{0, 2 * IncomingBlock}, {4 * IncomingBlock, 6 * IncomingBlock}, {7 * IncomingBlock, 10 * IncomingBlock}}
	if diff := cmp.Diff(want, in.Missing()); diff != "" {
		t.Fatal("first turn:", diff)
	}
	must(t, in.Close())

	s = reopen(t, s)
	in = receive(t, s, d)
	if diff := cmp.Diff(want, in.Missing()); diff != "" {
		t.Skip("this file system does not know holes:", diff)
	}
	done := make(chan error, 1)
	go func() { done <- in.Finish(context.WithoutCancel(t.Context())) }()
	write(in, 4*IncomingBlock, 6*IncomingBlock)
	select {
	case err := <-done:
		t.Fatal("finished before all was there:", err)
	case <-time.After(10 * time.Millisecond):
	}
	write(in, 7*IncomingBlock, 10*IncomingBlock)
	write(in, 0, 2*IncomingBlock)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	must(t, in.Close())
	got, err := s.Fetch(t.Context(), d)
	must(t, err)
	defer got.Close()
	read, err := io.ReadAll(got)
	must(t, err)
	if !bytes.Equal(read, data) {
		t.Error("other bytes came out")
	}
	if in, err := s.Receive(t.Context(), d); in != nil || err != nil {
		t.Errorf("what is there is received again: %v, %v", in, err)
	}
	empty(t, s, "incoming")
}

// TestIncomingWrong checks that wrong bytes are forgotten, and bad calls refused.
func TestIncomingWrong(t *testing.T) {
	s := open(t, t.TempDir())
	data := noise(3 * IncomingBlock)
	d := image.NewDescriptor(image.MediaTypeLayer, data)
	in := receive(t, s, d)
	for _, bad := range []struct {
		off int64
		n   int
	}{{1, IncomingBlock}, {0, 100}, {2 * IncomingBlock, 2 * IncomingBlock}} {
		if _, err := in.WriteAt(make([]byte, bad.n), bad.off); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%d bytes at %d: %v", bad.n, bad.off, err)
		}
	}
	_, err := in.WriteAt(noise(4 * IncomingBlock)[:3*IncomingBlock], 0)
	must(t, err)
	if err := in.Finish(t.Context()); !errors.Is(err, errs.ErrDigest) {
		t.Errorf("wrong bytes: %v", err)
	}
	must(t, in.Close())
	in = receive(t, s, d)
	if diff := cmp.Diff([]Span{{0, 3 * IncomingBlock}}, in.Missing()); diff != "" {
		t.Error("after wrong bytes:", diff)
	}
	cause := errors.New("the line is down")
	in.Fail(cause)
	if err := in.Finish(t.Context()); !errors.Is(err, cause) {
		t.Errorf("after Fail: %v", err)
	}
	must(t, in.Close())
}

// TestIncomingAlone checks that one waits for the other and then finds the blob.
func TestIncomingAlone(t *testing.T) {
	s := open(t, t.TempDir())
	data := noise(IncomingBlock)
	d := image.NewDescriptor(image.MediaTypeLayer, data)
	in := receive(t, s, d)
	type result struct {
		in  *Incoming
		err error
	}
	second := make(chan result, 1)
	go func() {
		in, err := s.Receive(context.WithoutCancel(t.Context()), d)
		second <- result{in, err}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Receive(ctx, d); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third one does not wait: %v", err)
	}
	_, err := in.WriteAt(data, 0)
	must(t, err)
	must(t, in.Finish(t.Context()))
	must(t, in.Close())
	if r := <-second; r.in != nil || r.err != nil {
		t.Errorf("the second got %v, %v", r.in, r.err)
	}
	empty(t, s, "incoming")
}

// TestIncomingExpires checks that what nobody goes on with is pruned, but not at once.
func TestIncomingExpires(t *testing.T) {
	s := open(t, t.TempDir())
	for i, age := range []time.Duration{0, 2 * incomingKept, 2 * incomingKept} {
		d := image.NewDescriptor(image.MediaTypeLayer, noise(IncomingBlock+i))
		in := receive(t, s, d)
		at := time.Now().Add(-age)
		must(t, os.Chtimes(s.incomingPath(d.Digest), at, at))
		if i == 2 {
			defer in.Close() // in use
			continue
		}
		must(t, in.Close())
	}
	r := prune(t, s, PruneOptions{})
	left, err := os.ReadDir(s.path("incoming"))
	must(t, err)
	if len(left) != 2 {
		t.Errorf("%d are left, want 2; went: %v", len(left), r)
	}
}
