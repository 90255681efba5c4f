package cli

import (
	"context"
	"sync"

	"github.com/mica-build/mica/snapshot"
	"github.com/mica-build/mica/snapshot/copy"
	"github.com/mica-build/mica/snapshot/overlay"
	"github.com/mica-build/mica/store"
)

// A mounter stacks layers with overlayfs and, once that turns out not to work
// for this user on this filesystem, by copying. Finding out costs nothing where
// overlayfs works.
type mounter struct {
	store   *store.Store
	overlay *overlay.Mounter

	mu   sync.Mutex
	copy snapshot.Mounter // nil until it is needed
}

var _ snapshot.Mounter = (*mounter)(nil)

func newMounter(s *store.Store) *mounter { return &mounter{store: s, overlay: overlay.New()} }

// Name implements snapshot.Mounter.
func (m *mounter) Name() string {
	if c := m.fallback(); c != nil {
		return c.Name()
	}
	return m.overlay.Name()
}

// Mount implements snapshot.Mounter.
func (m *mounter) Mount(ctx context.Context, r snapshot.Request) (*snapshot.Tree, error) {
	if c := m.fallback(); c != nil {
		return c.Mount(ctx, r)
	}
	t, err := m.overlay.Mount(ctx, r)
	if err == nil || ctx.Err() != nil {
		return t, err
	}
	dir, terr := m.store.TempDir(ctx, "mount-")
	if terr != nil || overlay.Supported(dir) == nil { // it works, but not for this request
		return nil, err
	}
	m.mu.Lock()
	m.copy = copy.New(dir)
	m.mu.Unlock()
	return m.copy.Mount(ctx, r)
}

func (m *mounter) fallback() snapshot.Mounter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.copy
}
