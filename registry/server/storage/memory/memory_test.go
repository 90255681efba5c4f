package memory_test

import (
	"testing"

	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/memory"
	"github.com/mica-build/mica/registry/server/storage/storagetest"
)

func TestStorage(t *testing.T) {
	storagetest.Run(t, func(testing.TB) func() *storage.Storage {
		s := memory.New()
		return func() *storage.Storage { return s }
	})
}
