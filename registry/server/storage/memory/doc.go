// Package memory keeps a registry in memory: for tests.
package memory

import "github.com/mica-build/mica/registry/server/storage"

// New makes an empty one.
func New() *storage.Storage {
	return &storage.Storage{Blobs: newBlobs(), Index: newIndex()}
}
