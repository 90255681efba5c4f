package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/mica-build/mica/image"
	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/registry/server"
)

// growing is a blob that grows by step bytes whenever somebody waits for more, up to
// stop bytes if that is not 0.
type growing struct {
	data []byte
	step int64
	stop int64
	have int64
}

var errStops = errors.New("it does not grow any more")

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(g.data[:g.have]).ReadAt(p, off)
}

func (g *growing) Wait(_ context.Context, n int64) (int64, image.Descriptor, error) {
	size := int64(len(g.data))
	for g.have < n && g.have < size {
		if g.stop > 0 && g.have >= g.stop {
			return g.have, image.Descriptor{}, errStops
		}
		g.have = min(g.have+g.step, size)
	}
	if g.have < size {
		return g.have, image.Descriptor{}, nil
	}
	return size, layerOf(g.data), nil
}

func TestPushGrowing(t *testing.T) {
	var sent atomic.Int64
	r := serve(t, server.Options{}, sentBytes(&sent))
	data := bigBlob()
	to := repo(t, r.host, quick())
	for _, tt := range []struct {
		name string
		data []byte
		want bool
		most int64 // bytes sent
	}{
		{"small", data[:1<<20], false, 0},
		{"all of it", data, true, int64(len(data))},
		{"there already", data, false, int64(len(data))},
	} {
		sent.Store(0)
		ok, err := to.PushGrowing(t.Context(), "key", &growing{data: tt.data, step: 1<<20 + 1})
		if ok != tt.want || err != nil {
			t.Errorf("%s: %v, %v", tt.name, ok, err)
		}
		if sent.Load() > tt.most {
			t.Errorf("%s: %d bytes were sent", tt.name, sent.Load())
		}
		if there, err := to.Exists(t.Context(), layerOf(tt.data)); there != (tt.name != "small") || err != nil {
			t.Errorf("%s: there: %v, %v", tt.name, there, err)
		}
	}
	rc, err := to.Fetch(t.Context(), layerOf(data))
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, err := io.ReadAll(rc); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back, %v", len(got), err)
	}
}

// TestPushGrowingGoesOn stops twice; what was sent is not sent again.
func TestPushGrowingGoesOn(t *testing.T) {
	var sent atomic.Int64
	r := serve(t, server.Options{}, sentBytes(&sent))
	data := bigBlob()
	u := &fakeUploads{kept: map[string]string{}}
	for _, stop := range []int64{10 << 20, 30 << 20, 0} {
		to := repo(t, r.host, quick())
		to.Resume(u)
		ok, err := to.PushGrowing(t.Context(), "key", &growing{data: data, step: 1 << 20, stop: stop})
		if ok != (stop == 0) || (stop > 0) != errors.Is(err, errStops) {
			t.Errorf("stopped at %d: %v, %v", stop, ok, err)
		}
	}
	if sent.Load() != int64(len(data)) {
		t.Errorf("%d bytes were sent for %d", sent.Load(), len(data))
	}
	if len(u.kept) > 0 {
		t.Errorf("remembered for nothing: %v", u.kept)
	}
}

// TestPushGrowingOther goes on with an upload that has other bytes: the registry
// refuses it, and nothing is remembered.
func TestPushGrowingOther(t *testing.T) {
	r := serve(t, server.Options{})
	data := bigBlob()
	u := &fakeUploads{kept: map[string]string{}}
	to := repo(t, r.host, quick())
	to.Resume(u)
	if _, err := to.PushGrowing(t.Context(), "key", &growing{data: data, step: 1 << 20, stop: 20 << 20}); !errors.Is(err, errStops) {
		t.Fatal(err)
	}
	other := bytes.Clone(data)
	other[0]++
	var refused *remote.Error
	if _, err := to.PushGrowing(t.Context(), "key", &growing{data: other, step: 1 << 20}); !errors.As(err, &refused) {
		t.Errorf("other bytes: %v", err)
	}
	if len(u.kept) > 0 {
		t.Errorf("remembered for nothing: %v", u.kept)
	}
	if err := to.Push(t.Context(), layerOf(other), bytes.NewReader(other)); err != nil {
		t.Error(err)
	}
}

// TestPushGrowingNoChunks has a registry that takes blobs only whole.
func TestPushGrowingNoChunks(t *testing.T) {
	r := serve(t, server.Options{}, on("PATCH ", status(http.StatusMethodNotAllowed)))
	data := bigBlob()
	to := repo(t, r.host, quick())
	if ok, err := to.PushGrowing(t.Context(), "key", &growing{data: data, step: 1 << 20}); ok || err == nil {
		t.Errorf("%v, %v", ok, err)
	}
	if err := to.Push(t.Context(), layerOf(data), bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
}
