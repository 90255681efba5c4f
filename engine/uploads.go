package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/mica-build/mica/registry/remote"
	"github.com/mica-build/mica/store"
)

// uploads remember in the store how far pushes have come.
type uploads struct{ store *store.Store }

// Begin waits until no other process is at the upload.
func (u uploads) Begin(ctx context.Context, key string) (remote.Upload, error) {
	sum := sha256.Sum256([]byte(key))
	name := "uploads/" + hex.EncodeToString(sum[:16])
	unlock, err := u.store.Lock(ctx, name)
	if err != nil {
		return nil, err
	}
	kept := &upload{store: u.store, name: name, unlock: unlock}
	if raw, err := u.store.State(name); err == nil {
		kept.location = string(raw)
	}
	return kept, nil
}

// An upload is one that this process is at.
type upload struct {
	store    *store.Store
	name     string
	location string
	unlock   func()
}

// Location is where the upload goes on.
func (u *upload) Location() string { return u.location }

// Keep remembers it. Only time is lost if it cannot.
func (u *upload) Keep(location string) {
	if location != u.location && u.store.PutState(u.name, []byte(location)) == nil {
		u.location = location
	}
}

// End lets others have the upload.
func (u *upload) End(forget bool) {
	if forget && u.location != "" {
		_ = u.store.DeleteState(u.name)
	}
	u.unlock()
}
