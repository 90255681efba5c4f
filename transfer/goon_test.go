package transfer

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/store"
)

// bigText is text that gzip makes somewhat smaller, as long as some marks.
func bigText() string {
	b := make([]byte, 5*markEvery)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	for i := range b {
		b[i] &= 0x3f
	}
	return string(b)
}

// A stopper ends the making of a layer when it has come so far.
type stopper struct {
	bytes int64
	stop  context.CancelFunc
	began int64 // how much there was already
}

func (s *stopper) Watch(ctx context.Context, _ image.Descriptor, _ string, g Growing) {
	s.began, _, _ = g.Wait(ctx, 1)
	if _, whole, err := g.Wait(ctx, s.bytes); err == nil && whole.Digest == "" {
		s.stop()
	}
}

// TestCompressGoesOn stops again and again, a little further on each time; the next
// process goes on.
func TestCompressGoesOn(t *testing.T) {
	text := bigText()
	other := openStore(t)
	want, _ := compress(t, other, built(t, other, text), Options{Kind: "gzip"})
	dir := t.TempDir()
	turn := func(bytes int64) (image.Descriptor, int64, error) {
		st, err := store.Open(dir, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		s := &stopper{bytes: bytes, stop: stop}
		d, err := Compress(ctx, st, built(t, st, text), Options{Kind: "gzip", Watcher: s})
		return d, s.began, err
	}
	stops := 0
	for at := int64(20 << 20); ; at += 16 << 20 {
		got, began, err := turn(at)
		if stops > 0 && began < 8<<20 {
			t.Errorf("it began with %d bytes, after %d turns", began, stops)
		}
		if err == nil {
			if got.Digest != want.Digest {
				t.Errorf("%s, want %s", got.Digest, want.Digest)
			}
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if stops++; stops > 10 {
			t.Fatal("it does not come to an end")
		}
	}
	if stops < 2 {
		t.Errorf("it was stopped %d times", stops)
	}
	left, err := os.ReadDir(filepath.Join(dir, "incoming"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
