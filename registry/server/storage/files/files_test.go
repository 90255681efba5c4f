package files_test

import (
	"testing"

	"github.com/mica-build/mica/registry/server/storage"
	"github.com/mica-build/mica/registry/server/storage/files"
	"github.com/mica-build/mica/registry/server/storage/storagetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *storage.Storage {
	t.Helper()
	s, err := files.Open(dir, files.Options{})
	must(t, err)
	return s
}

func TestStorage(t *testing.T) {
	storagetest.Run(t, func(t testing.TB) func() *storage.Storage {
		dir := t.TempDir()
		return func() *storage.Storage { return open(t, dir) }
	})
}
